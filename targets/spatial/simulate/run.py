"""The simulator: a mapped layer computed through its own tiles, memories and order, and counted.

Tiles of the memories that there is one of come one after the other; what the array does with the
innermost of them is computed at once. Sums are exact integers. Where an accumulator could overflow
they are added one by one in the order of the schedule, and saturate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.candidates import Candidates
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import OPERANDS, Machine, Operand
from codesign.targets.spatial.simulate.array import Array
from codesign.targets.spatial.simulate.events import Events, Moved, Tally
from codesign.targets.spatial.simulate.feed import Feed
from codesign.targets.spatial.simulate.inner import Exchange, Inner
from codesign.targets.spatial.simulate.operands import Operands, checked, refolded, unfolded
from codesign.targets.spatial.simulate.packing import Packed, Packing
from codesign.targets.spatial.simulate.plan import Pair, Plan, Ranges
from codesign.targets.spatial.simulate.sums import Outputs
from codesign.targets.spatial.simulate.window import Grid, Shape, shape_of

Sums = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """What a run gave: `sums` in the output's shape, and counts of events.

    `moves` are elements between memories, `macs` multiplications and `gated` those of them that a
    zero spared, `busy` the multiplications of the busiest element, `cycles` the array's for them
    without those that it skipped.
    `saturated` additions did not fit the accumulator; `narrow` times a sum left the elements' tile
    that does not fit the bits of a partial sum (it is kept exactly). `packed` has the bits of
    compressed operands, by memory and operand.
    """

    sums: Sums
    moves: tuple[Moved, ...]
    macs: int
    gated: int
    busy: int
    cycles: float
    saturated: int
    narrow: int
    packed: Mapping[tuple[str, Operand], Packed]


def simulate(
    problem: Problem,
    machine: Machine,
    schedule: Schedule,
    widths: Widths,
    operands: Operands,
    unfold: bool = False,
) -> Run:
    """Run `problem`, as its op states it, by `schedule` on `machine`.

    The schedule is one of the problem with its padding where the machine's memories hold that, and
    with `unfold` one of the product of matrices that it is once windows are laid out. Sums have the
    shape of the op's output all the same.
    RefusedError if the schedule is none of this machine, a tile does not fit its memory, or several
    elements skip zeros, each its own; DataError if the operands are not the problem's or their
    codes not of `widths`.
    """
    if unfold:
        flat = simulate(problem.unfolded(), machine, schedule, widths, unfolded(problem, operands))
        return replace(flat, sums=refolded(problem, flat.sums))
    if machine.datapath.skip and machine.elements > 1:
        raise RefusedError(
            f"machine {machine.name} has {machine.elements} elements that skip zeros, and the "
            "simulator follows one; `codesign estimate` expects what they take together"
        )
    if machine.padding:
        operands, problem = operands.padded(problem), problem.padded()
    plan = Plan(problem, machine, schedule)
    plan.check()
    if not Candidates.of(problem, machine, schedule).fits({o: widths.of(o) for o in OPERANDS})[0]:
        raise RefusedError(
            f"a tile of this schedule does not fit its memory of machine {machine.name}; "
            "search a mapping for operands of these widths"
        )
    checked(operands, problem, widths)
    return _Simulation(plan, widths, operands).run()


class _Simulation:
    """One run: the memories, the array, the counts so far."""

    def __init__(self, plan: Plan, widths: Widths, operands: Operands) -> None:
        self.plan, self.widths = plan, widths
        self.events, self.tally = Events(plan), Tally(plan)
        self.exchange = Exchange(self.events)
        self.inner: dict[Any, Inner] = {}
        self.slid: dict[Pair, Grid] = {}
        self.feeds: dict[Operand, Feed] = {
            "input": self._feed("input", operands.input, widths.input, operands.zero),
            "weight": self._feed("weight", operands.weight, widths.weight, 0),
        }
        sums = operands.begin(plan.problem)
        self.outputs = Outputs(plan, sums, self.exchange, self.tally)
        self.array = Array(plan, widths, operands, self.events)

    def _feed(self, operand: Operand, codes: NDArray[Any], width: int, zero: int) -> Feed:
        low = min(0, int(codes.min(initial=0)))
        packing = Packing(width, zero, -(1 << (width - 1)) if low < 0 else 0)
        return Feed(self.plan, operand, codes, packing, self.exchange, self.tally)

    def run(self) -> Run:
        """Walk all tiles."""
        plan = self.plan
        for ranges in plan.tiles(plan.shared):
            self._tile(ranges)
        self.array.flush(self.outputs)
        self.outputs.finish()
        self.array.finish()
        each = plan.machine.datapath.cycles(self.widths.input, self.widths.weight)
        array = self.array
        return Run(
            self.outputs.whole,
            self.tally.moved(),
            array.macs,
            array.gated,
            array.busy,
            (array.busy - array.skipped) * each,
            array.saturated,
            array.narrow,
            {(name, o): p for o, feed in self.feeds.items() for name, p in feed.packed.items()},
        )

    def _tile(self, ranges: tuple[Ranges, ...]) -> None:
        plan, last = self.plan, ranges[-1]
        extents = {x: high - low for x, (low, high) in last.items()}
        shapes = {
            o: tuple(shape_of(axis, last)[0] for axis in plan.problem.axes(o)) for o in OPERANDS
        }
        inner = [p for p in self.tally.amounts if p.inner > plan.shared]
        turns = [p for p in inner if self.events.fresh(p.operand, p.inner, ranges)]
        if self.array.leaves():
            self.array.flush(self.outputs)
        tiles = {o: feed.move(ranges) for o, feed in self.feeds.items()}
        indices = self.outputs.move(ranges)
        for pair in turns:
            self._count(pair, shapes[pair.operand], extents, indices, ranges)
        self.array.compute(
            {o: tile.codes for o, tile in tiles.items()}, self.outputs, indices, shapes, extents
        )

    def _count(
        self,
        pair: Pair,
        shapes: tuple[Shape, ...],
        extents: dict[str, int],
        indices: tuple[Grid, ...],
        ranges: tuple[Ranges, ...],
    ) -> None:
        found = self._inner(pair, shapes, extents, ranges)
        if pair.operand != "output":
            self.tally.add(pair, (found.sources, found.each, 0, 0))
            return
        first = self.outputs.begin(pair, indices, found.places)
        moved = (found.sent - first, found.sources - first, found.sent, found.each)
        self.tally.add(pair, moved)

    def _inner(
        self, pair: Pair, shapes: tuple[Shape, ...], extents: dict[str, int], ranges: Any
    ) -> Inner:
        slides = self.plan.windowed(pair.operand, pair.inner)
        if slides is not None and self.events.around[pair.operand, pair.inner][-1][0] < (
            self.plan.shared
        ):
            return self.exchange.count(pair, shapes, extents, self._left(pair, slides, ranges))
        key = pair, shapes, tuple(extents.values())
        if key not in self.inner:
            self.inner[key] = self.exchange.count(pair, shapes, extents, None)
        return self.inner[key]

    def _left(self, pair: Pair, axis: int, ranges: tuple[Ranges, ...]) -> Grid | None:
        """What the tile before left along an axis, counted from this tile's first index."""
        follow = self.plan.problem.axes(pair.operand)[axis]
        shape, first = shape_of(follow, ranges[-1])
        held = self.events.window(shape).held + first
        before = self.slid.get(pair)
        self.slid[pair] = held
        kept = before is not None and self.events.next(pair.operand, pair.inner)
        return before - first if kept and before is not None else None
