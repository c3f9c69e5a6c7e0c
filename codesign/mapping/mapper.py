"""The best mapping of a layer onto a machine: exact where it can finish, anytime where it cannot.

The search looks at two tables first: what the tile below the outermost memory makes that memory
exchange, and how fast the array is for each way to unroll the loops over it. Together they bound
what any mapping with that tile and that way costs; tiles inside are only tried where the bound is
below the best mapping that was found (branch and bound, Land and Doig, Econometrica 1960).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np

from codesign.cost.candidates import Candidates, Numbers
from codesign.cost.evaluate import Costs, evaluate
from codesign.cost.mixed import distinct
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import Machine
from codesign.mapping.aims import Keys, Mark, best_first, keys
from codesign.mapping.bounds import Bounds, Pairs
from codesign.mapping.descent import descend
from codesign.mapping.gap import no_mapping
from codesign.mapping.rows import Rows
from codesign.mapping.space import Space, TooManyError

BATCH = 256
ROWS = 5_000  # combinations of cuts that are completed at once
AT_ONCE = 20_000  # mappings that are priced at once
TOGETHER = 20_000  # pairs of a tile and an unrolling that are completed at once
Choices = Sequence[Sequence[Sequence[str]]]
Best = tuple[Mark, Schedule, Costs]


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

    By its policy one that hides the flows which the policy names is better if it is faster.
    Exact if it ends within `seconds`, of each of the two searches that this can take; where the
    space is too large for that, over fewer extents a memory. NoMappingError, which says why, if
    nothing fits.
    """
    space = Space(problem, machine, widths)
    chosen = tuple(machine.mapping.order if aims is None else aims)
    found = _searched(space, densities, chosen, seconds)
    if aims is not None or not machine.mapping.hidden:
        return found
    one = Candidates.of(problem, machine, found.schedule)
    if not keys(one, found.costs, widths, ("hidden",)).any():
        return found
    other = _searched(space, densities, ("hidden", *chosen), seconds)
    proven, tried = found.proven and other.proven, found.tried + other.tried
    if other.costs.latency[0] < found.costs.latency[0]:
        found = replace(other, mark=other.mark[1:])
    return replace(found, proven=proven, tried=tried)


def _searched(space: Space, densities: Densities, aims: tuple[str, ...], seconds: float) -> Found:
    """The best mapping of a space by `aims`."""
    best: Best | None = None
    end = monotonic() + seconds
    for detail in (space, replace(space, thin=True)):
        one = _Search(detail, densities, aims, end, best)
        try:
            return one.run()
        except TooManyError:
            best = one.best
    raise RefusedError(
        f"machine {space.machine.name} leaves more ways to map this layer than can be compared; "
        "name the loops that each memory may go over (memory.loops)"
    )


class _Search:
    """One search: the space, what is wanted, the best so far."""

    def __init__(
        self,
        space: Space,
        densities: Densities,
        aims: tuple[str, ...],
        end: float,
        best: Best | None,
    ) -> None:
        self.space, self.densities, self.aims, self.end = space, densities, aims, end
        self.best = best
        self.tried = 0

    def run(self) -> Found:
        """The best mapping; NoMappingError if nothing fits."""
        self.quickly()
        proven = not self.late and self.go_through()
        if self.best is None:
            raise no_mapping(self.space)
        proven = proven and not self.space.thin
        return Found(self.best[1], self.best[2], proven, self.tried, self.best[0])

    def go_through(self) -> bool:
        """Whether the whole space was looked at before the time was over."""
        bounds = Bounds.of(self.space, self.densities, self.aims)
        for chunk in bounds.chunks(BATCH):
            if self.beats(bounds.least(chunk)):
                return True
            for pairs in bounds.pairs(chunk, self.mark, TOGETHER):
                for piece in pairs.pieces(ROWS):
                    if self.late:
                        return False
                    self.complete(piece)
        return True

    @property
    def late(self) -> bool:
        """Whether the time is over and there is something to show."""
        return self.best is not None and monotonic() > self.end

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
        self.price(rows, [(pairs.order,), *self._inner_orders(), ((),)])

    def price(self, rows: Rows, choices: Choices) -> int | None:
        """Price `rows` with all orders that differ; the row that is better than what was best."""
        better = None
        which, picks = distinct(rows.candidates([orders[0] for orders in choices]), choices)
        for start in range(0, len(which), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            found = self._price(rows.take(which[some]), choices, [pick[some] for pick in picks])
            better = better if found is None else int(which[start + found])
        return better

    def quickly(self) -> None:
        """A good mapping to begin with."""
        levels = range(len(self.space.levels) - 1)
        choices = [*(self.space.orders(n) for n in levels), ((),)]
        descend(self.space, lambda rows: self.price(rows, choices), lambda: self.late)

    def _price(self, rows: Rows, choices: Choices, picks: Sequence[Numbers]) -> int | None:
        """Price each of `rows` with the orders that are its picks; which is the best so far."""
        candidates = rows.mixed(choices, picks)
        costs = evaluate(candidates, self.space.widths, self.densities)
        found = keys(candidates, costs, self.space.widths, self.aims)
        self.tried += rows.count
        first = int(best_first(found)[0])
        order = [orders[int(pick[first])] for orders, pick in zip(choices, picks, strict=True)]
        return first if self._take(rows, order, found, costs, first) else None

    def _inner_orders(self) -> list[tuple[tuple[str, ...], ...]]:
        """Orders of the levels below the outermost, but the last, which has no tiles to keep."""
        return [self.space.orders(n) for n in range(1, len(self.space.levels) - 1)]

    def _take(
        self, rows: Rows, order: Sequence[Sequence[str]], found: Keys, costs: Costs, first: int
    ) -> bool:
        """Keep row `first` if it is better than what was found before; whether it is."""
        mine = tuple(map(float, found[:, first]))
        if self.best is not None and mine >= self.best[0]:
            return False
        schedule = rows.take(np.array([first])).schedule(order)
        self.best = mine, schedule, costs.only(first)
        return True
