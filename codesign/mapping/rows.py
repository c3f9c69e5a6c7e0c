"""Combinations of cuts, one a row; built up loop by loop, so what cannot fit never multiplies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codesign.cost.candidates import Candidates, Extents, Numbers
from codesign.cost.mixed import Mixed
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.machine.machine import Machine, Operand
from codesign.mapping.tiles import Cuts


@dataclass(frozen=True)
class Rows:
    """`factors[loop]` [rows, axes], `held[loop]` [rows, levels - 1], `kind[loop]` [rows].

    `kind` numbers the cuts of the loop from which those of the row came, `origin` [rows] the row
    that it continues.
    """

    problem: Problem
    machine: Machine
    count: int = 1
    factors: Mapping[str, Numbers] = field(default_factory=dict)
    held: Mapping[str, Numbers] = field(default_factory=dict)
    kind: Mapping[str, Numbers] = field(default_factory=dict)
    origin: Numbers = field(default_factory=lambda: np.zeros(1, np.int64))

    def take(self, which: Numbers) -> "Rows":
        """The rows of the numbers `which`."""
        factors, held, kind = (
            {x: t[which] for x, t in of.items()} for of in (self.factors, self.held, self.kind)
        )
        one, machine = self.origin[which], self.machine
        return Rows(self.problem, machine, len(which), factors, held, kind, one)

    def with_cuts(self, cuts: Cuts, which: Numbers) -> "Rows":
        """Every row with one of the `cuts` of a loop, that of number `which[row]`."""
        return Rows(
            self.problem,
            self.machine,
            self.count,
            {**self.factors, cuts.loop: cuts.factors[which]},
            {**self.held, cuts.loop: cuts.held[which]},
            {**self.kind, cuts.loop: which},
            self.origin,
        )

    def candidates(self, orders: Sequence[Sequence[str]]) -> Candidates:
        """These rows as schedules with `orders`; loops that are not cut yet are 1 in tiles."""
        factors, held = self._columns(len(orders))
        return Candidates(self.problem, self.machine, self.count, factors, held, orders)

    def mixed(self, choices: Sequence[Sequence[Sequence[str]]], picked: Sequence[Numbers]) -> Mixed:
        """These rows as schedules with the orders that were `picked` of `choices`, by level."""
        first = [orders[0] for orders in choices]
        factors, held = self._columns(len(choices))
        return Mixed(self.problem, self.machine, self.count, factors, held, first, choices, picked)

    def _columns(self, levels: int) -> tuple[dict[str, Extents], list[Extents]]:
        """Factors by axis and tiles by level."""
        factors: dict[str, Extents] = {
            axis.name: {loop: table[:, number] for loop, table in self.factors.items()}
            for number, axis in enumerate(self.machine.axes)
        }
        held: list[Extents] = [
            {loop: table[:, number] for loop, table in self.held.items()}
            for number in range(levels - 1)
        ]
        return factors, held

    def schedule(self, orders: Sequence[Sequence[str]]) -> Schedule:
        """The only row as a schedule with `orders`."""
        unrolled = tuple(
            (
                axis.name,
                tuple(
                    (loop, int(table[0, number]))
                    for loop, table in self.factors.items()
                    if table[0, number] > 1
                ),
            )
            for number, axis in enumerate(self.machine.axes)
        )
        held = tuple(
            tuple((loop, int(table[0, number])) for loop, table in self.held.items())
            for number in range(len(orders) - 1)
        )
        return Schedule(unrolled, held, tuple(map(tuple, orders)))


def every(rows: Rows, cuts: Cuts) -> Rows:
    """Every row with every cut of another loop."""
    ways = len(cuts.factors)
    old = np.repeat(np.arange(rows.count), ways)
    return rows.take(old).with_cuts(cuts, np.tile(np.arange(ways), rows.count))


def matching(rows: Rows, cuts: Cuts, start: Numbers, stop: Numbers) -> Rows:
    """Every row with the cuts of a loop between the numbers `start` and `stop` of its origin."""
    counts = (stop - start)[rows.origin]
    old = np.repeat(np.arange(rows.count), counts)
    begun = np.repeat(np.cumsum(counts) - counts, counts)
    found = rows.take(old)
    return found.with_cuts(cuts, np.arange(len(old)) - begun + start[found.origin])


def fitting(
    rows: Rows, room: Mapping[str, int], widths: Mapping[Operand, int], levels: int
) -> Rows:
    """The rows that fit axes with so much `room` and memories so far, however the rest is cut."""
    good = np.ones(rows.count, np.bool_)
    for number, axis in enumerate(rows.machine.axes):
        used = np.ones(rows.count, np.int64)
        for table in rows.factors.values():
            used *= table[:, number]
        good &= used <= room[axis.name]
    rows = rows.take(np.flatnonzero(good))
    if not rows.count:
        return rows
    return rows.take(np.flatnonzero(rows.candidates([()] * levels).fits(widths)))
