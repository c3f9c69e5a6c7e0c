"""The ways to cut one loop: what each axis unrolls of it and how much each memory holds at a time.

A chain of extents, from the elements outwards, in which each divides the next or covers the loop.
Of extents that make the same number of tiles only the smallest is in the space: a larger one
holds more and moves no less.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from codesign.cost.candidates import Numbers
from codesign.cost.schedule import Level
from codesign.machine.machine import Axis, Machine


@lru_cache(maxsize=4096)
def sizes(bound: int) -> tuple[int, ...]:
    """Every extent up to `bound` that makes fewer tiles than any smaller one."""
    found, extent = [], 1
    while extent < bound:
        found.append(extent)
        extent = -(-bound // (-(-bound // extent) - 1))
    return (*found, bound)


def may(level: Level, loop: str) -> bool:
    """Whether `loop` may go over tiles inside one of a level's."""
    return all(loop[0] in memory.loops for memory in level if memory.loops)


@dataclass(frozen=True)
class Cuts:
    """All ways to cut `loop`: `factors` [ways, axes] and `held` [ways, levels - 1], own extents.

    Levels are those below the outermost memory, in the machine's order; extents stay inside the
    loop's bound.
    """

    loop: str
    factors: Numbers
    held: Numbers


@dataclass(frozen=True)
class Cutter:
    """Finds the cuts of loops for a machine with `levels` and `room` for elements along its axes.

    `thin` keeps few extents a memory.
    """

    machine: Machine
    levels: tuple[Level, ...]
    room: Mapping[str, int]
    thin: bool = False

    def cuts(self, loop: str, bound: int) -> Cuts:
        """All cuts of `loop`."""
        found = [
            (factors, tuple(min(extent, bound) for extent in held))
            for factors in self._spreads(loop, bound)
            for held in self._chains(loop, bound, factors)
        ]
        unique = sorted(set(found))
        axes, inner = len(self.machine.axes), len(self.levels) - 1
        return Cuts(
            loop,
            np.array([f for f, _ in unique], np.int64).reshape(len(unique), axes),
            np.array([h for _, h in unique], np.int64).reshape(len(unique), inner),
        )

    def _spreads(self, loop: str, bound: int) -> Iterator[tuple[int, ...]]:
        """Factors by axis."""
        role = loop[0]

        def along(number: int, left: int, chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            if number == len(self.machine.axes):
                yield chosen
                return
            axis = self.machine.axes[number]
            for factor in self._factors(left, axis) if role in axis.unroll else (1,):
                if factor == 1 or self._even(loop, bound, factor):
                    yield from along(number + 1, -(-left // factor), (*chosen, factor))

        return along(0, bound, ())

    def _factors(self, left: int, axis: Axis) -> Sequence[int]:
        """Over how many elements of `axis` a loop may be spread of which `left` tiles are left.

        Those that leave fewer tiles than any smaller number; all if elements in use count.
        """
        most = min(left, self.room[axis.name])
        if axis.whole:
            return (most,)
        if "elements" in self.machine.mapping.order:
            return range(1, most + 1)
        return [factor for factor in sizes(left) if factor <= most]

    def _chains(self, loop: str, bound: int, factors: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Own extents by level, the outermost first."""
        spread = dict(zip((axis.name for axis in self.machine.axes), factors, strict=True))
        everywhere = tuple(spread)

        def outwards(number: int, own: int, below: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
            along = self.levels[number][0].along
            own *= prod(spread[axis] for axis in below if axis not in along)
            beside = prod(spread[axis] for axis in along)
            if number == 0:
                if may(self.levels[0], loop) or own >= bound:
                    yield ()
                return
            for trips in self._trips(number, loop, bound, own * beside):
                for outer in outwards(number - 1, own * trips, along):
                    yield (*outer, own * trips)

        return outwards(len(self.levels) - 1, 1, everywhere)

    def _trips(self, number: int, loop: str, bound: int, together: int) -> Iterator[int]:
        """How many tiles of the level below one of this level takes of `loop`."""
        left = -(-bound // together)
        for trips in self._counts(loop, left):
            if trips > 1 and not may(self.levels[number], loop):
                return
            extent = together * trips
            if not self._even(loop, bound, extent) or not self._power(loop, bound, together, trips):
                continue
            if all(_least(extent, bound, m.most.get(loop[0])) for m in self.levels[number]):
                yield trips

    def _counts(self, loop: str, left: int) -> Sequence[int]:
        """How many of `left` tiles a larger one may take."""
        if loop[0] in self.machine.mapping.powers:
            return [1 << k for k in range((left - 1).bit_length() + 1)]
        return _thinned(sizes(left)) if self.thin else sizes(left)

    def _even(self, loop: str, bound: int, extent: int) -> bool:
        """Whether the machine's controller can cut `loop` into tiles of `extent`."""
        policy = self.machine.mapping
        return loop[0] not in policy.divide or bound % extent == 0

    def _power(self, loop: str, bound: int, together: int, trips: int) -> bool:
        """Whether `trips` is a power of two, if it must be.

        A loop that no axis unrolls then has no tile larger than itself.
        """
        if loop[0] not in self.machine.mapping.powers or bound == 1:
            return True
        return trips & (trips - 1) == 0 and (together > 1 or trips <= bound)


def _least(extent: int, bound: int, most: int | None) -> bool:
    """Whether `extent` cuts a loop no further than tiles of `most` ask."""
    return most is None or -(-bound // extent) == -(-bound // min(most, bound))


def _thinned(found: tuple[int, ...]) -> tuple[int, ...]:
    """About one extent a doubling, both ends among them."""
    kept: list[int] = []
    for extent in found[:-1]:
        if not kept or extent >= 2 * kept[-1]:
            kept.append(extent)
    return (*kept, found[-1])
