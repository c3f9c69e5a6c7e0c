"""A good mapping quickly: random ones, and the best of these changed one or two loops at a time.

Descent over neighbourhoods of growing size (Mladenovic and Hansen, "Variable neighborhood search",
Computers & Operations Research 1997).
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

import numpy as np

from codesign.cost.candidates import Numbers
from codesign.mapping.rows import Rows
from codesign.mapping.space import Space

SAMPLES = 1_500  # random combinations of cuts, before what does not fit is left out
NEAR = 1_000  # combinations of two loops' cuts that are tried at a time
Price = Callable[[Rows], int | None]


def descend(space: Space, price: Price, late: Callable[[], bool]) -> None:
    """Prices mappings until no change of one or two loops is better or it is `late`.

    `price` says which of the rows is better than all before, if one is.
    """
    random = np.random.default_rng(0)
    if not all(_ways(space, loop) for loop in space.cuts):
        return
    rows = sampled(space, random, SAMPLES)
    number = price(rows) if rows.count else None
    if number is None:
        return
    kept = {loop: int(rows.kind[loop][number]) for loop in space.cuts}
    while not late():
        better = next(
            (
                {loop: int(near.kind[loop][found]) for loop in space.cuts}
                for near in _near(space, kept, random)
                if not late() and near.count and (found := price(near)) is not None
            ),
            None,
        )
        if better is None:
            return
        kept = better


def sampled(space: Space, random: np.random.Generator, count: int) -> Rows:
    """Those that fit of `count` combinations of cuts at random; one may come more than once."""
    found = _bare(space, count)
    for loop in sorted(space.cuts, key=lambda x: -len(space.cuts[x].factors)):
        cuts = space.cuts[loop]
        found = space.fit(found.with_cuts(cuts, random.integers(0, len(cuts.factors), found.count)))
    return space.allowed(found)


def _near(space: Space, kept: Mapping[str, int], random: np.random.Generator) -> Iterator[Rows]:
    """Rows that differ from the kept one in a loop, then in two."""
    for loop in space.cuts:
        yield _with(space, kept, {loop: np.arange(_ways(space, loop))})
    for first, second in combinations(space.cuts, 2):
        ways, others = _ways(space, first), _ways(space, second)
        picked = np.arange(ways * others)
        if len(picked) > NEAR:
            picked = np.sort(random.choice(len(picked), NEAR, replace=False))
        yield _with(space, kept, {first: picked // others, second: picked % others})


def _with(space: Space, kept: Mapping[str, int], new: Mapping[str, Numbers]) -> Rows:
    count = len(next(iter(new.values())))
    found = _bare(space, count)
    for loop, cuts in space.cuts.items():
        found = found.with_cuts(cuts, new.get(loop, np.full(count, kept[loop])))
    return space.allowed(space.fit(found))


def _ways(space: Space, loop: str) -> int:
    return len(space.cuts[loop].factors)


def _bare(space: Space, count: int) -> Rows:
    return Rows(space.problem, space.machine, count, origin=np.zeros(count, np.int64))
