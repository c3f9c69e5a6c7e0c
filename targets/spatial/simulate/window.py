"""One axis of an operand inside a tile: which iterations meet which index of it, and where.

All numbers are relative to the tile's first iteration, so tiles of one shape share their tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.problem import Follow
from codesign.targets.spatial.simulate.plan import Plan, Ranges

Grid = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What tables of an axis depend on: its `extents` by loop, and which indices the tensor has.

    Those from `low` up to `high` lie inside it, counted from the index of the first iteration.
    """

    terms: tuple[tuple[str, int], ...]
    extents: tuple[int, ...]
    low: int
    high: int


def shape_of(axis: Follow, ranges: Ranges) -> tuple[Shape, int]:
    """The shape of `axis` in a tile, and the index that the tile's first iteration meets."""
    extents = tuple(ranges[x][1] - ranges[x][0] for x, _ in axis.terms)
    first = axis.offset + sum(c * ranges[x][0] for x, c in axis.terms)
    reach = sum(c * (e - 1) for (_, c), e in zip(axis.terms, extents, strict=True))
    low, high = max(0, -first), min(reach + 1, axis.extent - first)
    return Shape(axis.terms, extents, low, high), first


@dataclass(frozen=True, eq=False)
class Window:
    """The iterations of a tile along one axis, as a grid with a dimension for each loop."""

    plan: Plan
    shape: Shape

    @cached_property
    def index(self) -> Grid:
        """The index that each point meets."""
        found = np.zeros(self.shape.extents, np.int64)
        for number, (_, step) in enumerate(self.shape.terms):
            found += self.lay(step * np.arange(self.shape.extents[number]), number)
        return found

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Which points meet the tensor and not what is around it."""
        return (self.index >= self.shape.low) & (self.index < self.shape.high)

    @cached_property
    def whole(self) -> bool:
        """Whether all points do."""
        return bool(self.inside.all())

    @cached_property
    def held(self) -> Grid:
        """The indices that the tile holds, in order."""
        return np.unique(self.index[self.inside])

    @cached_property
    def position(self) -> Grid:
        """The number of each point's index in `held`; those outside have the one after the last."""
        found = np.searchsorted(self.held, self.index)
        return np.where(self.inside, found, len(self.held))

    def instance(self, level: int) -> Grid:
        """A number for the tile and the place of a level that each point belongs to."""
        return self.marked([instance(self.plan, x, level, self.iterations(x)) for x in self.loops])

    @cached_property
    def loops(self) -> tuple[str, ...]:
        """The loops of the axis."""
        return tuple(loop for loop, _ in self.shape.terms)

    def iterations(self, loop: str) -> Grid:
        """The iterations of one loop."""
        return np.arange(self.shape.extents[self.loops.index(loop)])

    def marked(self, marks: Sequence[Grid]) -> Grid:
        """One number a point, the same where the marks [iterations] of all loops are."""
        found = np.zeros(self.shape.extents, np.int64)
        for number, mark in enumerate(marks):
            found = found * (int(mark.max(initial=0)) + 1) + self.lay(mark, number)
        return found

    def keyed(self, marks: Sequence[Grid]) -> Grid:
        """One number a point, the same where the marks of all loops and the index are."""
        return self.marked(marks) * (int(self.index.max(initial=0)) + 1) + self.index

    def keys(self, marks: Sequence[Grid]) -> Grid:
        """Different numbers of `keyed` among the points inside."""
        return np.unique(self.keyed(marks)[self.inside])

    def lay(self, values: Grid, number: int) -> Grid:
        """Values by iteration of one loop along its dimension of the grid."""
        shape = [-1 if i == number else 1 for i in range(len(self.shape.extents))]
        return values.reshape(shape)


def region(picks: Sequence[Grid]) -> tuple[Any, ...]:
    """What to index an array with for the numbers `picks` of each axis, slices if they will do."""
    if all(len(p) and bool((np.diff(p) == 1).all()) for p in picks):
        return tuple(slice(int(p[0]), int(p[-1]) + 1) for p in picks)
    return np.ix_(*picks)


def instance(plan: Plan, loop: str, level: int, iterations: Grid) -> Grid:
    """Which tile of a level, and which of its instances, each iteration of a loop belongs to."""
    own, together = plan.own[level][loop], plan.together[level][loop]
    return iterations // together * plan.factor(loop, level) + iterations % together // own


def number(plan: Plan, loop: str, level: int, iterations: Grid) -> Grid:
    """Which of a level's instances has each iteration of a loop in its tile."""
    if not plan.places(loop, level):
        return np.zeros_like(iterations)
    return iterations % plan.together[level][loop] // plan.own[level][loop]


def digits(plan: Plan, loop: str, level: int, iterations: Grid, axes: Sequence[str]) -> Grid:
    """The place on some of the axes of the instance that has each iteration."""
    places = plan.places(loop, level)
    left, found, size = number(plan, loop, level, iterations), np.zeros_like(iterations), 1
    for axis, _, count in reversed(places):
        if axis in axes:
            found, size = found + left % count * size, size * count
        left = left // count
    return found
