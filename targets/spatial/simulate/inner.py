"""What the memories inside one tile exchange for it: sets of elements, made and counted.

Levels inside the tile have an instance for each place of the array. An event is when they take
tiles up: loops that go on outside of those that bring the operand in anew are part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from codesign.targets.spatial.simulate.events import Events
from codesign.targets.spatial.simulate.plan import Pair
from codesign.targets.spatial.simulate.window import (
    Grid,
    Shape,
    Window,
    digits,
    number,
    shape_of,
)


@dataclass(frozen=True)
class Inner:
    """Elements that a pair of levels exchanges in one tile.

    `each` counts every instance's own copy, `sources` every instance of the outer level that an
    element is in, `sent` besides these what axes bring that do not add sums. `places` is over how
    many instances of the outer level the sums of an output are spread.
    """

    each: int
    sources: int
    sent: int
    places: int


class Exchange:
    """Counts what pairs of levels exchange in tiles of different shapes."""

    def __init__(self, events: Events) -> None:
        self.plan, self.events = events.plan, events
        self.largest: dict[tuple[Pair, int, int], int] = {}
        self.apart = [axis.name for axis in self.plan.machine.axes if not axis.sums]

    def private(self, pair: Pair) -> bool:
        """Whether elements exchange with a memory of their own, iteration by iteration."""
        plan = self.plan
        last = pair.inner == len(plan.levels)
        return last and plan.along(pair.outer) == plan.along(pair.inner)

    def count(
        self, pair: Pair, shapes: Sequence[Shape], extents: dict[str, int], shared: Grid | None
    ) -> Inner:
        """What `pair` exchanges in a tile of `extents`, its operand's axes of `shapes`.

        `shared` are the indices along the sliding axis that the tile before has left there.
        """
        places = prod(
            len(np.unique(self._source(pair, x, np.arange(e))))
            for x, e in extents.items()
            if not self.plan.problem.moves(pair.operand, x)
        )
        if self.private(pair):
            moving = {x for shape in shapes for x, _ in shape.terms}
            if self.plan.machine.whole_tiles:
                macs = prod(extents.values())
                return Inner(macs, macs, macs, places)
            reads = prod(int(self.events.window(shape).inside.sum()) for shape in shapes)
            reads *= prod(e for x, e in extents.items() if x not in moving)
            return Inner(reads, reads, reads, places)
        each, sources, sent = (
            self._total(pair, shapes, extents, shared, kind) for kind in range(3)
        )
        return Inner(each, sources, sent, places)

    def _total(
        self,
        pair: Pair,
        shapes: Sequence[Shape],
        extents: dict[str, int],
        shared: Grid | None,
        kind: int,
    ) -> int:
        """Distinct pairs of marks and elements; 0: of each instance, 1: of sources, 2: as sent."""
        total, slides = 1, self.plan.windowed(pair.operand, pair.inner)
        for axis, shape in enumerate(shapes):
            window = self.events.window(shape)
            marks = [self._marks(pair, x, window.iterations(x), kind) for x in window.loops]
            if self.plan.machine.whole_tiles:
                total *= prod(len(np.unique(mark)) for mark in marks)
                total *= self._largest(pair, axis, kind)
            elif axis == slides:
                total *= self._slid(pair, window, marks, shared)
            else:
                total *= len(window.keys(marks))
        moving = {loop for shape in shapes for loop, _ in shape.terms}
        for loop, extent in extents.items():
            if loop not in moving:
                total *= len(np.unique(self._marks(pair, loop, np.arange(extent), kind)))
        return total

    def whole(self, pair: Pair) -> int | None:
        """Elements of a tile of the inner level where the machine cuts none; else None."""
        if not self.plan.machine.whole_tiles:
            return None
        axes = self.plan.problem.axes(pair.operand)
        return prod(self._largest(pair, axis, 1) for axis in range(len(axes)))

    def _largest(self, pair: Pair, axis: int, kind: int) -> int:
        """The most indices along an axis that one mark has, over the whole layer."""
        if (pair, axis, kind) not in self.largest:
            ranges = {x: (0, bound) for x, bound in self.plan.problem.bounds}
            follow = self.plan.problem.axes(pair.operand)[axis]
            window = self.events.window(shape_of(follow, ranges)[0])
            marks = [self._marks(pair, x, window.iterations(x), kind) for x in window.loops]
            span = int(window.index.max(initial=0)) + 1
            counts = np.unique(window.keys(marks) // span, return_counts=True)[1]
            self.largest[pair, axis, kind] = int(counts.max(initial=0))
        return self.largest[pair, axis, kind]

    def _slid(self, pair: Pair, window: Window, marks: list[Grid], shared: Grid | None) -> int:
        """Elements along an axis that are not left there by the tile before."""
        level, last = self.plan.around(pair.operand, pair.inner)[-1]
        if level < self.plan.shared:
            kept = np.zeros(0, np.int64) if shared is None else shared
            return len(np.setdiff1d(window.held, kept))
        at, width = window.loops.index(last), self._group(pair, last)
        event = window.iterations(last) // width
        rest = window.keyed([np.zeros_like(m) if i == at else m for i, m in enumerate(marks)])
        size = int(rest.max(initial=0)) + 1
        keys = np.unique((window.lay(event, at) * size + rest)[window.inside])
        first = np.arange(int(event.max(initial=0)) + 1) * width
        outer = self.plan.together[level][last]
        follows = (first > 0) & (first // outer == (first - width) // outer)
        stays = follows[keys // size] & np.isin(keys - size, keys)
        return int((~stays).sum())

    def _group(self, pair: Pair, loop: str) -> int:
        """Iterations of a loop between two events."""
        plan = self.plan
        levels = [n for n, x in plan.around(pair.operand, pair.inner) if x == loop]
        inner = [n for n in levels if n >= plan.shared]
        level = inner[-1] + 1 if inner else min(pair.inner, plan.shared)
        return plan.together[level][loop]

    def _marks(self, pair: Pair, loop: str, iterations: Grid, kind: int) -> Grid:
        """Event and instance of each iteration (0), event and source (1), also as sent (2)."""
        plan = self.plan
        found = iterations // self._group(pair, loop)
        if kind == 0:
            mark = number(plan, loop, pair.inner, iterations)
            return found * plan.factor(loop, pair.inner) + mark
        found = found * plan.factor(loop, pair.outer) + self._source(pair, loop, iterations)
        if kind == 2:
            places = prod(n for axis, _, n in plan.places(loop, pair.inner) if axis in self.apart)
            found = found * places + digits(plan, loop, pair.inner, iterations, self.apart)
        return found

    def _source(self, pair: Pair, loop: str, iterations: Grid) -> Grid:
        """The instance of the outer level at the place of each iteration."""
        level = pair.outer if self.private(pair) else pair.inner
        return digits(self.plan, loop, level, iterations, self.plan.along(pair.outer))
