"""Inputs and weights in the memories that there is one of: tiles copied from level to level."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import RefusedError
from codesign.machine.machine import Operand
from codesign.targets.spatial.simulate.events import Events, Tally
from codesign.targets.spatial.simulate.inner import Exchange
from codesign.targets.spatial.simulate.packing import Packed, Packing
from codesign.targets.spatial.simulate.plan import Pair, Plan, Ranges
from codesign.targets.spatial.simulate.window import Grid, Window, region, shape_of

Codes = NDArray[Any]


@dataclass
class Tile:
    """What a memory holds of an operand: the indices along each axis, and the codes there."""

    indices: tuple[Grid, ...]
    codes: Codes

    def part(self, wanted: Sequence[Grid]) -> Codes:
        """The codes at some indices; it is an error of the simulator if one is not held."""
        picks = [np.searchsorted(mine, one) for mine, one in zip(self.indices, wanted, strict=True)]
        for pick, mine, one in zip(picks, self.indices, wanted, strict=True):
            if len(one) and (pick[-1] >= len(mine) or not np.array_equal(mine[pick], one)):
                raise RefusedError("the simulator asked a memory for what its tile does not hold")
        return np.array(self.codes[region(picks)])


@dataclass
class Feed:
    """The tiles of `operand` by level, and what has moved between them.

    `packing` says what codes are like and which is zero.
    """

    plan: Plan
    operand: Operand
    codes: Codes
    packing: Packing
    exchange: Exchange
    tally: Tally
    tiles: dict[int, Tile] = field(default_factory=dict)
    packed: dict[str, Packed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.events = self.exchange.events
        indices = tuple(np.arange(size) for size in self.codes.shape)
        self.tiles[0] = Tile(indices, self.codes)

    def move(self, ranges: tuple[Ranges, ...]) -> Tile:
        """Take up the tiles of the levels whose turn has come; what the innermost tile needs."""
        holders = [n for n in self.plan.holders(self.operand) if n <= self.plan.shared]
        for outer, level in itertools.pairwise(holders):
            if self.events.fresh(self.operand, level, ranges):
                self._fetch(outer, level, ranges[level])
        last, wanted = holders[-1], self._indices(ranges[-1])
        if last == self.plan.shared > 0:
            return self.tiles[last]
        tile = Tile(wanted, self.tiles[last].part(wanted))
        inner = next(n for n in self.plan.holders(self.operand) if n > self.plan.shared)
        if self.events.new(self.operand, inner):
            tile.codes = self._unpacked(last, tile.codes)
        return tile

    def _fetch(self, outer: int, level: int, ranges: Ranges) -> None:
        wanted = self._indices(ranges)
        codes = self._unpacked(outer, self.tiles[outer].part(wanted))
        slides, kept = self.plan.windowed(self.operand, level), self.tiles.get(level)
        sizes = [len(one) for one in wanted]
        if slides is not None and kept is not None and self.events.next(self.operand, level):
            sizes[slides] = len(np.setdiff1d(wanted[slides], kept.indices[slides]))
        pair = Pair(self.operand, outer, level)
        size = self.exchange.whole(pair) or prod(sizes)
        self.tally.add(pair, (size, size, 0, 0))
        self.tiles[level] = Tile(wanted, codes)

    def _unpacked(self, level: int, codes: Codes) -> Codes:
        """`codes` once more, from what they are compressed to if the memory does that."""
        name = self.plan.name(self.operand, level)
        memory = next(m for m in self.plan.levels[level] if m.name == name)
        how = memory.packed.get(self.operand)
        if how is None:
            return codes
        found, size = self.packing.round_trip(how, codes)
        self.packed[name] = self.packed.get(name, Packed(0, 0)) + size
        return found

    def _indices(self, ranges: Ranges) -> tuple[Grid, ...]:
        found = []
        for axis in self.plan.problem.axes(self.operand):
            shape, first = shape_of(axis, ranges)
            found.append(self.events.window(shape).held + first)
        return tuple(found)


def windows_of(plan: Plan, operand: Operand, ranges: Ranges, events: Events) -> tuple[Window, ...]:
    """The window of each axis of an operand in a tile."""
    axes = plan.problem.axes(operand)
    return tuple(events.window(shape_of(axis, ranges)[0]) for axis in axes)
