"""Candidates that differ in the order of their loops too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codesign.cost.candidates import Candidates, Flags, Numbers


@dataclass(frozen=True, eq=False)
class Mixed(Candidates):
    """Candidate i has order `choices[level][picked[level][i]]` at each level; `orders` is ignored.

    `choices` has an entry for each level, `picked` one for as many levels from the first on as
    there is a choice at.
    """

    choices: Sequence[Sequence[Sequence[str]]]
    picked: Sequence[Numbers]

    def ways(self, level: int) -> Sequence[tuple[tuple[str, ...], Flags | None]]:
        found = [self.ordered(order) for order in self.choices[level]]
        if len(found) == 1:
            return ((found[0], None),)
        return tuple((order, self.picked[level] == n) for n, order in enumerate(found))


def distinct(
    candidates: Candidates, choices: Sequence[Sequence[Sequence[str]]]
) -> tuple[Numbers, list[Numbers]]:
    """Each of `candidates` with every order that is another for it: (candidate, pick by level).

    Orders are alike if the loops that go on, for this candidate, follow each other alike.
    """
    which, picks = np.arange(candidates.count), list[Numbers]()
    for level, orders in enumerate(choices):
        signs = [_sign(candidates, level, candidates.ordered(order)) for order in orders]
        found = []
        for number, sign in enumerate(signs):
            new = np.ones(candidates.count, np.bool_)
            for other in signs[:number]:
                new &= other != sign
            at = np.flatnonzero(new[which])
            found.append((at, np.full(len(at), number)))
        at = np.concatenate([at for at, _ in found])
        picks = [*(pick[at] for pick in picks), np.concatenate([n for _, n in found])]
        which = which[at]
    return which, picks


def _sign(candidates: Candidates, level: int, order: Sequence[str]) -> Numbers:
    """A number for the sequence of loops of `order` that go on at a level."""
    found = 0 * candidates.ones
    for loop in order:
        if loop in candidates.going[level]:
            digit = candidates.loops.index(loop) + 1
            goes_on = candidates.goes_on[level][loop]
            found = np.where(goes_on, found * (len(candidates.loops) + 1) + digit, found)
    return found
