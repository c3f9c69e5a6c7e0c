"""Many schedules of one layer at once, as arrays: one number a schedule.

They agree on which loops each axis unrolls and on the order of loops at each level, and differ in
factors and tiles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
Extents = Mapping[str, Numbers]
Measure = Callable[[Problem, Follow, Mapping[str, int], Mapping[str, int]], int]
NOWHERE: Extents = MappingProxyType({})


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

    def factor(self, loop: str, along: Sequence[str]) -> Numbers:
        """Over how many elements of the axes `along` the iterations of `loop` are spread."""
        found = self.ones
        for axis in along:
            if loop in self.factors.get(axis, {}):
                found = found * self.factors[axis][loop]
        return found

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
                loop: np.minimum(own[loop] * self.factor(loop, self.along(level)), bound)
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
        number = self.ones - 1
        for table in (extents, spans):
            for loop in loops:
                if loop in table:
                    number = number * (self.problem.bound(loop) + 1) + table[loop]
        _, first, where = np.unique(number, return_index=True, return_inverse=True)

        def one(row: int) -> int:
            mine = ({x: int(t[x][row]) for x in loops if x in t} for t in (extents, spans))
            return measure(self.problem, axis, *mine)

        return np.array([one(row) for row in first], np.int64)[where.reshape(-1)]

    def spans(self, operand: Operand, level: int) -> dict[str, Numbers]:
        """For each loop that does not move `operand`: of what extent it takes tiles up again.

        The innermost loops find the tile there, up to the first that moves the operand.
        """
        still = [loop for loop in self.loops if not self.problem.moves(operand, loop)]
        found = {loop: self.together[level][loop] for loop in still}
        kept = np.full(self.count, level < len(self.levels))
        for outer in self.above(operand, level):
            for loop in reversed(self.order(outer)):
                goes_on = self.visits[outer + 1][loop] > self.visits[outer][loop]
                if loop in found:
                    inside = kept & goes_on
                    found[loop] = np.where(inside, self.together[outer][loop], found[loop])
                else:
                    kept = kept & ~goes_on
        return found

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
            for loop in reversed(self.order(outer)):
                if not self.problem.moves(operand, loop):
                    continue
                goes_on = waiting & (self.visits[outer + 1][loop] > self.visits[outer][loop])
                if loop in windows:
                    spread = prod(self.factor(x, self.along(level)) for x in windows[loop])
                    alone = goes_on & (spread == 1)
                    found[loop] = np.where(alone, self.together[outer][loop], found[loop])
                waiting = waiting & ~goes_on
        return found


def tiles(bound: int, extent: Numbers) -> Numbers:
    """How many tiles of `extent` iterations a loop of `bound` has."""
    found: Numbers = -(-bound // extent)
    return found
