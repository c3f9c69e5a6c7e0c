"""Many schedules of one layer at once, as arrays: one number a schedule.

They agree on which loops each axis unrolls and on the order of loops at each level, and differ in
factors and tiles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.footprint import axis_largest, axis_volume
from codesign.cost.laid import Laid
from codesign.cost.problem import Follow, Problem
from codesign.cost.schedule import Schedule
from codesign.machine.machine import Machine, Operand

Numbers = NDArray[np.int64]
Amounts = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Extents = Mapping[str, Numbers]
Measure = Callable[[Problem, Follow, Mapping[str, int], Mapping[str, int]], int]
NOWHERE: Extents = MappingProxyType({})
REMEMBERED = 1 << 19  # different extents of an axis up to which all its measures are kept


@dataclass(frozen=True, eq=False)
class Candidates(Laid):
    """`count` schedules. `factors[axis][loop]` and `held[level - 1][loop]` are arrays [count].

    Loops that a mapping does not name are 1 there. `orders` are as in `Schedule`.
    """

    count: int
    factors: Mapping[str, Extents]
    held: Sequence[Extents]
    orders: Sequence[Sequence[str]]

    @staticmethod
    def of(problem: Problem, machine: Machine, schedule: Schedule) -> "Candidates":
        """One schedule."""

        def arrays(pairs: Sequence[tuple[str, int]]) -> dict[str, Numbers]:
            found: dict[str, Numbers] = {}
            for loop, value in pairs:
                found[loop] = found.get(loop, np.ones(1, np.int64)) * value
            return found

        factors = {axis: arrays(pairs) for axis, pairs in schedule.unrolled}
        held = [arrays(pairs) for pairs in schedule.held]
        return Candidates(problem, machine, 1, factors, held, schedule.orders)

    @cached_property
    def ones(self) -> Numbers:
        """1 for each candidate."""
        return np.ones(self.count, np.int64)

    @cached_property
    def _unrolled(self) -> Mapping[str, Extents]:
        """`factors` without those that are 1 for all."""
        return {
            axis: {loop: factor for loop, factor in found.items() if (factor != 1).any()}
            for axis, found in self.factors.items()
        }

    def factor(self, loop: str, along: Sequence[str]) -> Numbers:
        """Over how many elements of the axes `along` the iterations of `loop` are spread.

        `ones` itself if no axis unrolls the loop.
        """
        found = self.ones
        for axis in along:
            factor = self._unrolled.get(axis, NOWHERE).get(loop)
            if factor is not None:
                found = factor if found is self.ones else found * factor
        return found

    def times(self, amounts: Numbers, loop: str, along: Sequence[str], bound: int) -> Numbers:
        """`amounts`, at most `bound`, by the factor of `loop` along axes, at most `bound`."""
        factor = self.factor(loop, along)
        return amounts if factor is self.ones else np.minimum(amounts * factor, bound)

    @cached_property
    def own(self) -> list[Extents]:
        """Extents of what one instance holds, by level; a single iteration beyond the last."""
        whole = {loop: self.ones * bound for loop, bound in self.problem.bounds}
        inner = [
            {loop: np.minimum(held.get(loop, self.ones), whole[loop]) for loop in self.loops}
            for held in self.held
        ]
        return [whole, *inner, dict.fromkeys(self.loops, self.ones)]

    @cached_property
    def together(self) -> list[Extents]:
        """Extents of what all instances of a level hold at a time, by level."""
        return [
            {
                loop: self.times(own[loop], loop, self.along(level), bound)
                for loop, bound in self.problem.bounds
            }
            for level, own in enumerate(self.own)
        ]

    @cached_property
    def spread(self) -> list[Extents]:
        """`together` without regard to the bounds: what elements at the edges have room for."""
        return [
            {loop: own[loop] * self.factor(loop, self.along(level)) for loop in self.loops}
            for level, own in enumerate(self.own)
        ]

    @cached_property
    def visits(self) -> list[Extents]:
        """How many tiles each loop has over the whole layer, by level."""
        return [
            {loop: tiles(bound, extents[loop]) for loop, bound in self.problem.bounds}
            for extents in self.together
        ]

    @cached_property
    def goes_on(self) -> list[Mapping[str, Flags]]:
        """By level the loops that go over several tiles of the next one in one of its own."""
        return [
            {loop: inside[loop] > around[loop] for loop in self.loops}
            for around, inside in pairwise(self.visits)
        ]

    @cached_property
    def going(self) -> list[frozenset[str]]:
        """By level the loops that go over several tiles for any candidate."""
        return [frozenset(x for x, flags in of.items() if flags.any()) for of in self.goes_on]

    def order(self, level: int) -> tuple[str, ...]:
        """All loops between a level and the next, outermost first."""
        return self.ordered(self.orders[level])

    def fits(self, widths: Mapping[Operand, int]) -> NDArray[np.bool_]:
        """Which candidates' tiles have room in every memory; `widths` in bits."""
        found = np.ones(self.count, np.bool_)
        for level, memories in enumerate(self.levels):
            for memory in memories if level else ():
                sizes = (self.largest(o, self.own[level]) * widths[o] for o in memory.holds)
                found &= sum(sizes, start=0 * self.ones) <= memory.usable
        return found

    def largest(self, operand: Operand, extents: Extents) -> Numbers:
        """Elements of the largest tile of `operand`, padding left out."""
        axes = self.problem.axes(operand)
        sizes = (self._axis(axis, extents, NOWHERE, axis_largest) for axis in axes)
        return prod(sizes, start=self.ones)

    def volume(self, operand: Operand, extents: Extents, spans: Extents = NOWHERE) -> Numbers:
        """Elements of all tiles of `operand` together, each counted as often as tiles hold it.

        Within `spans` a tile keeps what it shares with the one before. Tiles at edges count in full
        where the machine does not cut them.
        """
        axes = self.problem.axes(operand)
        if not self.machine.whole_tiles:
            sizes = (self._axis(axis, extents, spans, axis_volume) for axis in axes)
            return prod(sizes, start=self.ones)
        loops = {loop for axis in axes for loop, _ in axis.terms}
        counts = (tiles(self.problem.bound(loop), extents[loop]) for loop in loops)
        return self.largest(operand, extents) * prod(counts, start=self.ones)

    def _axis(self, axis: Follow, extents: Extents, spans: Extents, measure: Measure) -> Numbers:
        """`measure` of an axis, asked once for candidates that are alike there."""
        loops = [loop for loop, _ in axis.terms]
        tables = [{x: t[x] for x in loops if x in t} for t in (extents, spans)]
        number, size = 0 * self.ones, 1
        for table in tables:
            for loop, value in table.items():
                radix = self.problem.bound(loop) + 1
                number, size = number * radix + value, size * radix

        def one(row: int) -> int:
            mine = ({x: int(t[row]) for x, t in table.items()} for table in tables)
            return measure(self.problem, axis, *mine)

        if size > REMEMBERED:
            _, first, where = np.unique(number, return_index=True, return_inverse=True)
            return np.array([one(row) for row in first], np.int64)[where.reshape(-1)]
        bounds = tuple(self.problem.bound(loop) for loop in loops)
        known = _known(measure, axis, bounds, tuple(map(tuple, tables)), size)
        found = known[number]
        new = np.flatnonzero(found < 0)
        if len(new):
            codes, first = np.unique(number[new], return_index=True)
            known[codes] = [one(row) for row in new[first]]
            found = known[number]
        return found

    def ways(self, level: int) -> Sequence[tuple[tuple[str, ...], Flags | None]]:
        """Orders of the loops between a level and the next, and who has each (None: all)."""
        return ((self.order(level), None),)

    def spans(self, operand: Operand, level: int) -> dict[str, Numbers]:
        """For each loop that does not move `operand`: of what extent it takes tiles up again.

        The innermost loops find the tile there, up to the first that moves the operand.
        """
        still = [loop for loop in self.loops if not self.problem.moves(operand, loop)]
        found = {loop: self.together[level][loop] for loop in still}
        if level == len(self.levels):
            return found
        kept = np.ones(self.count, np.bool_)
        for outer in self.above(operand, level):
            before = kept, found
            for order, mine in self.ways(outer):
                here, spans = self._still(outer, order, *before)
                kept = _where(mine, here, kept)
                found = {loop: _where(mine, spans[loop], found[loop]) for loop in found}
        return found

    def _still(
        self, outer: int, order: Sequence[str], kept: Flags, found: Mapping[str, Numbers]
    ) -> tuple[Flags, dict[str, Numbers]]:
        """Who keeps a tile over all tiles at level `outer` of those who `kept` it, and spans."""
        spans = dict(found)
        for loop in reversed(order):
            if loop not in self.going[outer]:
                continue
            goes_on = self.goes_on[outer][loop]
            if loop in spans:
                spans[loop] = np.where(kept & goes_on, self.together[outer][loop], spans[loop])
            else:
                kept = kept & ~goes_on
        return kept, spans

    def above(self, operand: Operand, level: int) -> Sequence[int]:
        """The levels, from inside out, over whose tiles `level` may keep its tile of `operand`."""
        memories = self.levels[level] if level < len(self.levels) else ()
        anew = any(memory.reload and operand in memory.holds for memory in memories)
        return range(level - 1, max(-1, level - 2 if anew else -1), -1)

    def slides(self, operand: Operand, level: int) -> bool:
        """Whether the memory that holds `operand` at `level` keeps what windows share."""
        memories = self.levels[level] if level < len(self.levels) else ()
        return any(memory.sliding and operand in memory.holds for memory in memories)

    def swept(self, operand: Operand, level: int) -> Extents:
        """By loop the span over which windows slide, one tile after the other; 0 where none does.

        Only the innermost loop that goes on and moves `operand` does this, where it moves along an
        axis together with others and none of them is spread over elements.
        """
        windows = {
            loop: [other for other, _ in axis.terms]
            for axis in self.problem.axes(operand)
            if len(axis.terms) > 1
            for loop, _ in axis.terms
        }
        found, waiting = dict.fromkeys(windows, 0 * self.ones), np.ones(self.count, np.bool_)
        for outer in self.above(operand, level):
            before = waiting, found
            for order, mine in self.ways(outer):
                here, swept = self._sweeps(operand, (level, outer), order, windows, *before)
                waiting = _where(mine, here, waiting)
                found = {loop: _where(mine, swept[loop], found[loop]) for loop in found}
        return found

    def _sweeps(
        self,
        operand: Operand,
        levels: tuple[int, int],
        order: Sequence[str],
        windows: Mapping[str, Sequence[str]],
        waiting: Flags,
        found: Extents,
    ) -> tuple[Flags, dict[str, Numbers]]:
        """Who still waits for a loop that moves `operand` after those of the outer of `levels`."""
        (level, outer), swept = levels, dict(found)
        for loop in reversed(order):
            if loop not in self.going[outer] or not self.problem.moves(operand, loop):
                continue
            goes_on = waiting & self.goes_on[outer][loop]
            if loop in windows:
                spread = prod(self.factor(x, self.along(level)) for x in windows[loop])
                alone = goes_on & (spread == 1)
                swept[loop] = np.where(alone, self.together[outer][loop], swept[loop])
            waiting = waiting & ~goes_on
        return waiting, swept


def _where(mine: Flags | None, here: NDArray[Any], there: NDArray[Any]) -> NDArray[Any]:
    """`here` for those who are `mine` (None: all), `there` for the others."""
    return here if mine is None else np.where(mine, here, there)


@lru_cache(maxsize=32)
def _known(
    measure: Measure,
    axis: Follow,
    bounds: tuple[int, ...],
    given: tuple[tuple[str, ...], ...],
    size: int,
) -> Numbers:
    """What `measure` has been found to say of an axis so far, by number; -1 elsewhere."""
    return np.full(size, -1, np.int64)


def tiles(bound: int, extent: Numbers) -> Numbers:
    """How many tiles of `extent` iterations a loop of `bound` has."""
    found: Numbers = -(-bound // extent)
    return found
