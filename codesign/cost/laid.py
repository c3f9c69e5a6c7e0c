"""What a problem on a machine has whatever its schedule: levels, loops, places."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from codesign.cost.problem import Problem
from codesign.cost.schedule import Level, levels_of, places
from codesign.machine.machine import Machine


@dataclass(frozen=True, eq=False)
class Laid:
    """`problem` on `machine`. Level `len(levels)` are the elements, one iteration at a time."""

    problem: Problem
    machine: Machine

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The machine's levels."""
        return levels_of(self.machine)

    @cached_property
    def loops(self) -> tuple[str, ...]:
        """The problem's loops."""
        return tuple(loop for loop, _ in self.problem.bounds)

    def along(self, level: int) -> tuple[str, ...]:
        """The axes that a level has instances along, in the machine's order."""
        if level == len(self.levels):
            return places(self.machine)
        return self.levels[level][0].along

    @cached_property
    def nested(self) -> tuple[str, ...]:
        """All axes with places, first those that outer memories lie along.

        In this order they share the iterations of a loop: neighbours on the last have neighbours.
        """
        levels = range(len(self.levels) + 1)
        return tuple(dict.fromkeys(axis for level in levels for axis in self.along(level)))

    @cached_property
    def elements(self) -> int:
        """The first level that every element has of its own; the elements themselves if none is."""
        everywhere = places(self.machine)
        return next(n for n in range(len(self.levels) + 1) if self.along(n) == everywhere)

    def ordered(self, named: Sequence[str]) -> tuple[str, ...]:
        """All loops, outermost first: those that an order names are the innermost."""
        inner = tuple(loop for loop in named if loop in self.loops)
        return (*(loop for loop in self.loops if loop not in inner), *inner)
