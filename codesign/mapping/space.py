"""All mappings of a layer that a machine allows, as cuts by loop and what they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.cost.candidates import Numbers
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Level, levels_of
from codesign.machine.machine import OPERANDS, Machine, Operand
from codesign.mapping.orders import orders
from codesign.mapping.rows import Rows, every, fitting, matching
from codesign.mapping.tiles import Cuts, Cutter, may

MOST = 3_000_000  # combinations of cuts that are looked at together


class TooManyError(Exception):
    """There are more combinations than are looked at together."""


@dataclass(frozen=True)
class Parts:
    """Of one loop's cuts: the different unrollings and first tiles, and which go together.

    `ways` [unrollings, axes], `tiles` [tiles]; `start` and `stop` [unrollings, tiles] say between
    which numbers the cuts of a pair are.
    """

    ways: Numbers
    tiles: Numbers
    start: Numbers
    stop: Numbers


@dataclass(frozen=True)
class Space:
    """The mappings of `problem` onto `machine` with operands of `widths`; few of them if `thin`."""

    problem: Problem
    machine: Machine
    widths: Widths
    thin: bool = False

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The machine's levels."""
        return levels_of(self.machine)

    @cached_property
    def room(self) -> Mapping[str, int]:
        """Elements along each axis with operands of these widths."""
        parts = self.machine.datapath.parts(self.widths.input, self.widths.weight)
        more = max(1, int(parts))
        return {a.name: a.size * (more if a.fused else 1) for a in self.machine.axes}

    @cached_property
    def bits(self) -> Mapping[Operand, int]:
        """Bits of an element in a memory."""
        return {operand: self.widths.of(operand) for operand in OPERANDS}

    def loops(self, level: int) -> tuple[str, ...]:
        """The loops that may go over tiles inside one of a level's."""
        return tuple(x for x, _ in self.problem.bounds if may(self.levels[level], x))

    def orders(self, level: int) -> tuple[tuple[str, ...], ...]:
        """Orders of the loops over tiles inside one of a level's."""
        stays = next((memory.stays for memory in self.levels[level] if memory.stays), None)
        return orders(self.problem, self.loops(level), stays)

    @cached_property
    def cuts(self) -> Mapping[str, Cuts]:
        """All cuts by loop that fit beside the loops which can be cut in one way only."""
        cutter = Cutter(self.machine, self.levels, self.room, self.thin)
        found = {loop: cutter.cuts(loop, bound) for loop, bound in self.problem.bounds}
        fixed = Rows(self.problem, self.machine)
        for cuts in found.values():
            fixed = every(fixed, cuts) if len(cuts.factors) == 1 else fixed
        return {loop: self._alone(cuts, fixed) for loop, cuts in found.items()}

    def _alone(self, cuts: Cuts, fixed: Rows) -> Cuts:
        if cuts.loop in fixed.factors:
            return cuts
        rows = self.fit(every(fixed, cuts))
        return Cuts(cuts.loop, rows.factors[cuts.loop], rows.held[cuts.loop])

    @cached_property
    def parts(self) -> Mapping[str, Parts]:
        """Unrollings and first tiles by loop."""
        return {loop: _parts(cuts) for loop, cuts in self.cuts.items()}

    def fit(self, rows: Rows) -> Rows:
        """The rows that fit so far, however the loops that are left are cut."""
        return fitting(rows, self.room, self.bits, len(self.levels))

    def complete(self, kinds: Mapping[str, tuple[Numbers, Numbers]], count: int) -> Rows:
        """All rows that fit of which row i has a cut of each loop between `kinds[loop]` of i."""
        found = Rows(self.problem, self.machine, count, origin=np.arange(count))
        for loop in sorted(kinds, key=lambda x: len(self.cuts[x].factors)):
            start, stop = kinds[loop]
            found = self.fit(matching(found, self.cuts[loop], start, stop))
        return self._square(self._batched(found))

    def _batched(self, rows: Rows) -> Rows:
        """The rows in which several images share a tile only where the policy says so."""
        batch = self.machine.mapping.batch
        if not batch or "n" not in rows.held or "y" not in rows.factors:
            return rows
        number = [axis.name for axis in self.machine.axes].index(batch)
        whole = rows.factors["y"][:, number] >= self.problem.bound("y")
        return rows.take(np.flatnonzero(whole | (rows.held["n"][:, 0] == 1)))

    def _square(self, rows: Rows) -> Rows:
        """The rows whose first tiles are as wide as high, if the policy wants that."""
        if not self.machine.mapping.square or not {"y", "x"} <= set(rows.held):
            return rows
        high, wide = (rows.held[loop][:, 0] for loop in ("y", "x"))
        return rows.take(np.flatnonzero(high == wide))


def _parts(cuts: Cuts) -> Parts:
    ways, way = np.unique(cuts.factors, axis=0, return_inverse=True)
    tiles, tile = np.unique(cuts.held[:, 0], return_inverse=True)
    numbers, where = np.arange(len(cuts.factors)), (way.reshape(-1), tile.reshape(-1))
    start = np.full((len(ways), len(tiles)), len(numbers), np.int64)
    stop = np.zeros_like(start)
    np.minimum.at(start, where, numbers)
    np.maximum.at(stop, where, numbers + 1)
    return Parts(ways, tiles, np.minimum(start, stop), stop)
