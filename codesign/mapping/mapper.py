"""The best mapping of a layer onto a machine: exact where it can finish, anytime where it cannot.

The search looks at two tables first: what the tile below the outermost memory makes that memory
exchange, and how fast the array is for each way to unroll the loops over it. Together they bound
what any mapping with that tile and that way costs; tiles inside are only tried where the bound is
below the best mapping that was found (branch and bound, Land and Doig, Econometrica 1960).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from time import monotonic

import numpy as np

from codesign.cost.evaluate import Costs, evaluate
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import Machine
from codesign.mapping.aims import Keys, Mark, best_first, keys
from codesign.mapping.bounds import Bounds, Pairs
from codesign.mapping.gap import no_mapping
from codesign.mapping.rows import Rows
from codesign.mapping.space import Space, TooManyError

BATCH = 256
TOGETHER = 20_000  # pairs of a tile and an unrolling that are completed at once


@dataclass(frozen=True)
class Found:
    """A mapping: its schedule and costs (of one candidate), and how sure it is.

    `proven` if no mapping in the space is better; `tried` schedules were priced. `mark` is how good
    it is by the aims of the search, the first first.
    """

    schedule: Schedule
    costs: Costs
    proven: bool
    tried: int
    mark: Mark = ()


def search(
    problem: Problem,
    machine: Machine,
    widths: Widths,
    densities: Densities = DENSE,
    aims: Sequence[str] | None = None,
    seconds: float = 10.0,
) -> Found:
    """The best mapping of `problem` onto `machine` by `aims` (those of its policy if None).

    Exact if it ends within `seconds`; where the space is too large for that, over fewer extents a
    memory. NoMappingError, which says why, if nothing fits.
    """
    chosen = tuple(machine.mapping.order if aims is None else aims)
    if machine.mapping.hidden and aims is None:
        chosen = ("hidden", *chosen)
    space = Space(problem, machine, widths)
    for detail in (space, replace(space, thin=True)):
        try:
            return _Search(detail, densities, chosen, monotonic() + seconds).run()
        except TooManyError:
            continue
    raise RefusedError(
        f"machine {machine.name} leaves more ways to map this layer than can be compared; name the "
        "loops that each memory may go over (memory.loops)"
    )


class _Search:
    """One search: the space, what is wanted, the best so far."""

    def __init__(
        self, space: Space, densities: Densities, aims: tuple[str, ...], end: float
    ) -> None:
        self.space, self.densities, self.aims, self.end = space, densities, aims, end
        self.best: tuple[Mark, Schedule, Costs] | None = None
        self.tried = 0

    def run(self) -> Found:
        """The best mapping; NoMappingError if nothing fits."""
        space, proven = self.space, not self.space.thin
        bounds = Bounds.of(space, self.densities, self.aims)
        for number, chunk in enumerate(bounds.chunks(BATCH)):
            if self.beats(bounds.least(chunk)):
                break
            if number and monotonic() > self.end:
                proven = False
                break
            for pairs in bounds.pairs(chunk, self.mark, TOGETHER):
                self.complete(pairs)
        if self.best is None:
            raise no_mapping(space)
        return Found(self.best[1], self.best[2], proven, self.tried, self.best[0])

    @property
    def mark(self) -> Mark | None:
        """What is to be beaten."""
        return self.best[0] if self.best else None

    def beats(self, bound: Keys) -> bool:
        """Whether nothing with this bound can be better."""
        return self.best is not None and self.best[0] <= tuple(map(float, bound))

    def complete(self, pairs: Pairs) -> None:
        """Price every mapping that has one of `pairs` of a tile and an unrolling."""
        rows = self.space.complete(pairs.kinds, pairs.count)
        if not rows.count:
            return
        for inner in self._inner_orders():
            order = (pairs.order, *inner, ())
            candidates = rows.candidates(order)
            costs = evaluate(candidates, self.space.widths, self.densities)
            found = keys(candidates, costs, self.space.widths, self.aims)
            self.tried += rows.count
            self._take(rows, order, found, costs)

    def _inner_orders(self) -> Iterator[tuple[tuple[str, ...], ...]]:
        """Orders of the levels below the outermost, but the last, which has no tiles to keep."""
        space = self.space
        levels = range(1, len(space.levels) - 1)
        return product(*(space.orders(n) for n in levels))

    def _take(self, rows: Rows, order: Sequence[Sequence[str]], found: Keys, costs: Costs) -> None:
        first = int(best_first(found)[0])
        mine = tuple(map(float, found[:, first]))
        if self.best is None or mine < self.best[0]:
            schedule = rows.take(np.array([first])).schedule(order)
            self.best = mine, schedule, costs.only(first)
