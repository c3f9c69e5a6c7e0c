"""How a layer is laid over a machine: which loops the array unrolls, what each memory holds when.

Memories that lie side by side (they hold different operands and there is one of each at the same
places) are one level and share a tiling. Level 0 is the outermost and holds the whole layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from codesign.cost.footprint import largest, tiles
from codesign.cost.problem import Problem
from codesign.machine.machine import OPERANDS, Machine, Memory, Operand

Level = tuple[Memory, ...]


def levels_of(machine: Machine) -> tuple[Level, ...]:
    """The memories of `machine` by level, outermost first."""
    found: list[list[Memory]] = []
    for memory in machine.memories:
        last = found[-1] if found else []
        apart = all(set(memory.holds).isdisjoint(other.holds) for other in last)
        if last and apart and last[0].along == memory.along:
            last.append(memory)
        else:
            found.append([memory])
    return tuple(tuple(level) for level in found)


@dataclass(frozen=True)
class Schedule:
    """`unrolled[axis]`: (loop, factor) pairs; `held[k]`: extents of an instance's tile at level k.

    `held` begins at level 1. `orders[k]` are the loops, outermost first, that go over the tiles of
    level k+1 within one of level k; the last go over single multiplications. Loops that are not
    named have extent 1 in a tile and no place in an order that would matter.
    """

    unrolled: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    held: tuple[tuple[tuple[str, int], ...], ...]
    orders: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Mapped:
    """A problem on a machine by a schedule, with the extents that follow from it."""

    problem: Problem
    machine: Machine
    schedule: Schedule

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The machine's levels."""
        return levels_of(self.machine)

    @cached_property
    def loops(self) -> tuple[str, ...]:
        """The problem's loops."""
        return tuple(loop for loop, _ in self.problem.bounds)

    def factor(self, loop: str, along: tuple[str, ...]) -> int:
        """Over how many elements of the axes `along` the iterations of `loop` are spread."""
        return prod(
            count
            for axis, pairs in self.schedule.unrolled
            if axis in along
            for name, count in pairs
            if name == loop
        )

    def along(self, level: int) -> tuple[str, ...]:
        """The axes that level has instances along; beyond the last one are the elements."""
        if level == len(self.levels):
            return tuple(axis.name for axis in self.machine.axes)
        return self.levels[level][0].along

    def own(self, level: int) -> Mapping[str, int]:
        """Extents of what one instance holds at a level, at most the bounds."""
        if level == 0:
            return dict(self.problem.bounds)
        if level == len(self.levels):
            return dict.fromkeys(self.loops, 1)
        held = dict(self.schedule.held[level - 1])
        return {loop: min(held.get(loop, 1), bound) for loop, bound in self.problem.bounds}

    def together(self, level: int) -> Mapping[str, int]:
        """Extents of what all instances of a level hold at a time, at most the bounds."""
        own, along = self.own(level), self.along(level)
        return {
            loop: min(own[loop] * self.factor(loop, along), bound)
            for loop, bound in self.problem.bounds
        }

    def visits(self, level: int, loop: str) -> int:
        """Tiles that a loop has at a level, over the whole layer."""
        return tiles(self.problem.bound(loop), self.together(level)[loop])

    def order(self, level: int) -> tuple[str, ...]:
        """The loops between a level and the next that go over more than one tile."""
        named = self.schedule.orders[level]
        order = (*(loop for loop in self.loops if loop not in named), *named)
        return tuple(
            loop
            for loop in order
            if loop in self.loops and self.visits(level + 1, loop) > self.visits(level, loop)
        )

    def bits(self, operand: Operand, widths: Mapping[Operand, int], level: int) -> int:
        """Bits that an instance at a level needs for its largest tile of `operand`."""
        return largest(self.problem, operand, self.own(level)) * widths[operand]

    def overflow(self, widths: Mapping[Operand, int]) -> tuple[Memory, int] | None:
        """The first memory that its tiles do not fit into, and the bits that they take."""
        for number, level in enumerate(self.levels):
            for memory in level:
                need = sum(self.bits(o, widths, number) for o in memory.holds)
                if number and need > memory.usable:
                    return memory, need
        return None


__all__ = ["OPERANDS", "Level", "Mapped", "Schedule", "levels_of"]
