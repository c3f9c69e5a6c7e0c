"""The array at work on one tile: what its elements read, multiply and add, and what they spare."""

from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.operands import Widths
from codesign.errors import RefusedError
from codesign.machine.machine import OPERANDS, Operand
from codesign.targets.spatial.simulate.block import Block, Blocks, arranged, multiplied
from codesign.targets.spatial.simulate.events import Events
from codesign.targets.spatial.simulate.operands import Operands
from codesign.targets.spatial.simulate.ordered import Adder, Ordered
from codesign.targets.spatial.simulate.plan import Plan
from codesign.targets.spatial.simulate.sums import Outputs
from codesign.targets.spatial.simulate.window import Grid, Shape

Values = NDArray[Any]
Sums = NDArray[np.int64]


class Array:
    """The elements, with what they have counted: see `Run`."""

    def __init__(self, plan: Plan, widths: Widths, operands: Operands, events: Events) -> None:
        self.plan, self.widths, self.zero, self.events = plan, widths, operands.zero, events
        self.macs = self.gated = self.skipped = self.busy = self.narrow = 0
        reach = _reach(plan, operands)
        path = plan.machine.datapath
        self.exact = reach < 1 << (path.accumulator - 1)
        self.fits = reach < 1 << (widths.partial - 1)
        if reach >= 1 << 62:
            raise RefusedError(
                f"sums of up to {reach} need more than 63 bits, which this simulator does not have"
            )
        self.kind = self._kind(operands)
        self.blocks = Blocks(plan, events, merged=self.exact and self.fits)
        self.adder = Adder(path.accumulator)
        self.ordered = Ordered(plan, self.blocks.roles.inner, self.adder)
        self.waiting: tuple[list[Block], tuple[Grid, ...]] | None = None
        self.time: dict[tuple[tuple[str, int], ...], int] = {}

    def _kind(self, operands: Operands) -> type[Any]:
        """The numbers that are multiplied: those of the shortest kind that is exact."""
        inner = self.plan.together[self.plan.shared]
        loops = (x for x in self.plan.loops if not self.plan.problem.moves("output", x))
        most = prod(_largest(operands)) * prod(inner[x] for x in loops)
        if not self.exact or most >= 1 << 53:
            return np.int64
        return np.float32 if most < 1 << 24 else np.float64

    @property
    def saturated(self) -> int:
        """Additions that did not fit the accumulator."""
        return self.adder.saturated

    @property
    def level(self) -> int:
        """The outermost level inside the tile that holds sums."""
        return next(n for n in self.plan.holders("output") if n > self.plan.shared)

    @property
    def stays(self) -> bool:
        """Whether elements keep their sums until a loop outside of the tile goes on."""
        around = self.events.around["output", self.level]
        return not around or around[-1][0] < self.plan.shared

    def leaves(self) -> bool:
        """Whether sums that were kept are sent before the tile that begins now."""
        return self.waiting is not None and self.events.new("output", self.level)

    def flush(self, outputs: Outputs) -> None:
        """Send the sums that elements have kept."""
        if self.waiting is None:
            return
        blocks, indices = self.waiting
        self.waiting = None
        sums = outputs.tile(indices)
        for number, block in enumerate(blocks):
            if number in self.ordered.waiting:
                block.write(sums, self.ordered.added(self.ordered.waiting.pop(number)))
        outputs.put(indices, sums)
        self._watch(sums)

    def compute(
        self,
        codes: Mapping[Operand, Values],
        outputs: Outputs,
        indices: tuple[Grid, ...],
        shapes: Mapping[Operand, tuple[Shape, ...]],
        extents: Mapping[str, int],
    ) -> None:
        """All multiplications of a tile of `extents`; `codes` are what its buffers hold."""
        windows = {o: [self.events.window(shape) for shape in shapes[o]] for o in OPERANDS}
        rounds = self.blocks.of(windows, extents)
        left = self._staged(codes["input"], [w.whole for w in windows["input"]], self.zero)
        right = self._staged(codes["weight"], [w.whole for w in windows["weight"]], 0)
        sums = outputs.tile(indices)
        for blocks in rounds:
            for number, block in enumerate(blocks):
                self._multiply(number, block, left, right, sums)
            if not self.stays:
                self._watch(sums)
        outputs.put(indices, sums)
        if self.stays:
            self.waiting = rounds[-1], indices
        self.macs += prod(extents.values())
        if not self.plan.machine.whole_tiles:
            self.busy += self._busy(tuple(extents.items()))

    def _multiply(self, number: int, block: Block, left: Values, right: Values, sums: Sums) -> None:
        roles, parts = self.blocks.roles, block.parts
        x = arranged(
            block.left.read(left), block.left.loops, (roles.both, roles.inner, roles.left), parts
        )
        w = arranged(
            block.right.read(right),
            block.right.loops,
            (roles.both, roles.right, roles.inner),
            parts,
        )
        path = self.plan.machine.datapath
        self.gated += _spared(x, w, path.spares)
        self.skipped += _spared(x, w, path.skip)
        if self.exact:
            block.add(sums, multiplied(w, x))
            return
        before = self.ordered.waiting.pop(number, None)
        before = block.read(sums) if before is None else before
        found = self.ordered.run(x, w, before, parts)
        if self.stays:
            self.ordered.waiting[number] = found
        else:
            block.write(sums, self.ordered.added(found))

    def _staged(self, codes: Values, whole: list[bool], zero: int) -> Values:
        """Codes less zero as numbers to multiply, with a zero behind those axes that need one."""
        shape = tuple(n + (not all_in) for n, all_in in zip(codes.shape, whole, strict=True))
        found = np.zeros(shape, self.kind)
        cut: tuple[Any, ...] = (*(slice(n) for n in codes.shape), ...)
        inside = found[cut]
        np.subtract(codes, zero, out=inside, casting="unsafe")
        return found

    def _watch(self, sums: Sums) -> None:
        """Count the sums that do not fit the bits of a partial sum."""
        if not self.fits:
            top = 1 << (self.widths.partial - 1)
            self.narrow += int(((sums >= top) | (sums < -top)).sum())

    def _busy(self, extents: tuple[tuple[str, int], ...]) -> int:
        """Multiplications of the busiest element in a tile, one after the other."""
        if extents not in self.time:
            plan, level = self.plan, self.plan.elements
            self.time[extents] = (
                prod(_turns(e, plan.own[level][x], plan.together[level][x]) for x, e in extents)
                if level > plan.shared
                else prod(e for _, e in extents)
            )
        return self.time[extents]

    def finish(self) -> None:
        """Where tiles at edges take as long as whole ones, the time of all of them."""
        plan, level = self.plan, self.plan.elements
        if not plan.machine.whole_tiles:
            return
        self.busy = 1
        for loop in plan.loops:
            spread = [own[loop] * plan.factor(loop, n) for n, own in enumerate(plan.own)]
            turns = (-(-a // b) for a, b in pairwise(spread[: level + 1]))
            self.busy *= plan.own[level][loop] * prod(turns)


def _spared(x: Values, w: Values, watched: tuple[Operand, ...]) -> int:
    """Multiplications of `x` [both, inner, left] by `w` that zeros of `watched` ones spare."""
    if not watched:
        return 0
    left = np.count_nonzero(x, 2) if "input" in watched else np.full(x.shape[:2], x.shape[2])
    right = (
        np.count_nonzero(w, 1)
        if "weight" in watched
        else np.full((w.shape[0], w.shape[2]), w.shape[1])
    )
    useful = int((left * right).sum())
    return int(x.size * w.shape[1]) - useful


def _turns(extent: int, own: int, together: int) -> int:
    """Iterations of the busiest element in all tiles of a loop."""
    return sum(min(own, extent - at) for at in range(0, extent, together))


def _largest(operands: Operands) -> tuple[int, int]:
    """The largest magnitudes of what is multiplied."""
    x, w = operands.input, operands.weight
    ends = [int(x.min(initial=operands.zero)), int(x.max(initial=operands.zero))]
    low, high = int(w.min(initial=0)), int(w.max(initial=0))
    return max(abs(one - operands.zero) for one in ends), max(-low, high)


def _reach(plan: Plan, operands: Operands) -> int:
    """A number that no sum exceeds on its way."""
    problem, (left, right) = plan.problem, _largest(operands)
    inner = [x for x in plan.loops if not problem.moves("output", x)]
    start = 0 if operands.start is None else int(np.abs(operands.start).max(initial=0))
    most = left * right * prod(problem.bound(x) for x in inner)
    terms = [[x for x, _ in axis.terms] for axis in problem.weight]
    if all(len(loops) < 2 or not set(loops) & set(inner) for loops in terms):
        over = tuple(n for n, loops in enumerate(terms) if set(loops) & set(inner))
        total = np.abs(operands.weight.astype(np.int64)).sum(axis=over)
        again = prod(problem.bound(x) for x in inner if not problem.moves("weight", x))
        most = min(most, left * again * int(total.max(initial=0)))
    return most + start
