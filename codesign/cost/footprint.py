"""How many elements of an operand the tiles of a layer touch: exactly, at edges and halos too.

Tiles of a loop of bound B cut [0, B) at the multiples of the tile's extent; the last one is
shorter. Along an axis that several loops move, such as the rows of a convolution's input, the
elements of a pair of tiles are the distinct values of stride * y + dilation * r + offset that lie
inside the tensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from codesign.cost.problem import Follow, Problem


def axis_volume(
    problem: Problem, axis: Follow, extents: Mapping[str, int], spans: Mapping[str, int]
) -> int:
    """Sum over all tiles of the elements along one axis.

    A tile of a loop in `spans` counts without what the one before has left there; at multiples of
    the loop's span, a multiple of its extent, nothing is left.
    """
    bounds, sizes = _sizes(problem, axis, extents)
    for number, (loop, _) in enumerate(axis.terms):
        if spans.get(loop, 0) > sizes[number]:
            return _slid(axis, bounds, sizes, number, spans[loop])
    return _sums(axis, bounds, sizes)[0]


def axis_largest(
    problem: Problem, axis: Follow, extents: Mapping[str, int], spans: Mapping[str, int]
) -> int:
    """The most elements along one axis that a tile has, wherever it slides."""
    return _sums(axis, *_sizes(problem, axis, extents))[1]


def _sizes(
    problem: Problem, axis: Follow, extents: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    bounds = tuple(problem.bound(loop) for loop, _ in axis.terms)
    return bounds, tuple(
        min(extents.get(loop, 1), bound)
        for (loop, _), bound in zip(axis.terms, bounds, strict=True)
    )


@lru_cache(maxsize=1 << 16)
def _sums(axis: Follow, bounds: tuple[int, ...], extents: tuple[int, ...]) -> tuple[int, int]:
    """(sum, largest) of the elements along `axis` over the tiles of its loops."""
    if len(bounds) == 1 and _inside(axis, bounds):
        return bounds[0], extents[0]
    runs = _runs(axis, bounds, extents)
    if runs is not None:
        sizes = np.maximum(runs[1] - runs[0], 0)
        return int(sizes.sum()), int(sizes.max())
    grid = _grid(axis, bounds, extents)
    if grid is not None:
        table = grid.met.astype(np.int64)
        for i in range(2):
            starts = np.arange(0, grid.bounds[i], grid.extents[i])
            table = np.add.reduceat(table, starts, axis=i)
        return int(table.sum()), int(table.max())
    found = [
        _distinct(
            axis, starts, [min(s + e, b) for s, e, b in zip(starts, extents, bounds, strict=True)]
        )
        for starts in product(*(range(0, b, e) for b, e in zip(bounds, extents, strict=True)))
    ]
    return sum(found), max(found)


@lru_cache(maxsize=1 << 16)
def _slid(
    axis: Follow, bounds: tuple[int, ...], extents: tuple[int, ...], number: int, span: int
) -> int:
    """The sum where loop `number` slides: each tile without what it shares with the last one."""
    runs = _runs(axis, bounds, extents)
    if runs is not None:
        low, high = (np.moveaxis(one, number, 0) for one in runs)
        anew = np.arange(0, bounds[number], extents[number]) % span == 0
        before = np.where(anew[1:].reshape(-1, *[1] * (high.ndim - 1)), low[1:], high[:-1])
        fresh = np.maximum(high[1:] - np.maximum(low[1:], before), 0)
        return int(np.maximum(high[0] - low[0], 0).sum() + fresh.sum())
    grid = _grid(axis, bounds, extents)
    if grid is not None:
        return int(grid.fresh(number == _large(axis), span).sum())
    total = 0
    others = [range(0, b, e) for b, e in zip(bounds, extents, strict=True)]
    others[number] = range(1)
    for starts in product(*others):
        before = np.zeros(0, np.int64)
        for start in range(0, bounds[number], extents[number]):
            here = [start if i == number else s for i, s in enumerate(starts)]
            ends = [min(s + e, b) for s, e, b in zip(here, extents, bounds, strict=True)]
            tile = _met(axis, here, ends)
            left = before if start % span else before[:0]
            total += len(np.setdiff1d(tile, left, assume_unique=True))
            before = tile
    return total


def _runs(
    axis: Follow, bounds: tuple[int, ...], extents: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """[first, one after the last) index of each tile, by tiles of each loop; None if any has gaps.

    A tile has none if each loop, from the smallest step on, steps no further than those before it
    reach together.
    """
    starts = [np.arange(0, b, e) for b, e in zip(bounds, extents, strict=True)]
    counts = [np.minimum(s + e, b) - s for s, e, b in zip(starts, extents, bounds, strict=True)]
    reach = 1
    for (_, step), count in sorted(zip(axis.terms, counts, strict=True), key=lambda x: x[0][1]):
        least, most = int(count.min()), int(count.max())
        if step < 1 or (step > reach and most > 1):
            return None
        reach += step * (least - 1)
    low, last = np.array(axis.offset), np.array(axis.offset)
    for (_, step), start, count in zip(axis.terms, starts, counts, strict=True):
        low, last = np.add.outer(low, step * start), np.add.outer(last, step * (start + count - 1))
    return np.clip(low, 0, axis.extent), np.clip(last + 1, 0, axis.extent)


@dataclass(frozen=True)
class _Grid:
    """An axis of two loops, the steps of one so many (`stride`) times those of the other.

    Arrays are [iterations of the larger loop, those of the smaller]. An iteration meets the element
    that the next of the larger loop meets with the smaller `stride` back.
    """

    axis: Follow
    bounds: tuple[int, int]
    extents: tuple[int, int]
    stride: int

    @cached_property
    def places(self) -> list[NDArray[np.int64]]:
        """Iterations, where their tiles start, where they end: [bound, 1] and [1, bound]."""
        found = []
        for bound, extent, shape in zip(self.bounds, self.extents, ((-1, 1), (1, -1)), strict=True):
            at = np.arange(bound)
            start = at // extent * extent
            found += [one.reshape(shape) for one in (at, start, np.minimum(start + extent, bound))]
        return found

    @cached_property
    def met(self) -> NDArray[np.bool_]:
        """Iterations that meet elements of the tensor, each element of a tile met once."""
        at, _, end, inner, start, _ = self.places
        (_, one), (_, other) = self.axis.terms
        index = self.axis.offset + max(one, other) * at + min(one, other) * inner
        again = (at + 1 < end) & (inner - self.stride >= start)
        found: NDArray[np.bool_] = (index >= 0) & (index < self.axis.extent) & ~again
        return found

    def fresh(self, large: bool, span: int) -> NDArray[np.bool_]:
        """Which of these the tile before, of the larger or the smaller loop, has not met.

        At multiples of `span` there is none before.
        """
        at, first, end, inner, start, stop = self.places
        if large:
            seen = inner + self.stride * (at - first + 1) < stop
            return self.met & ~(seen & (first % span > 0))
        steps = (inner - start) // self.stride + 1
        seen = (at + steps < end) & (inner - steps * self.stride >= start - self.extents[1])
        return self.met & ~(seen & (start % span > 0))


def _grid(axis: Follow, bounds: tuple[int, ...], extents: tuple[int, ...]) -> _Grid | None:
    """The axis as a grid; None if it is none."""
    if len(axis.terms) != 2:
        return None
    large = _large(axis)
    step, least = axis.terms[large][1], axis.terms[1 - large][1]
    if least < 1 or step % least:
        return None
    bound, extent = ((of[large], of[1 - large]) for of in (bounds, extents))
    return _Grid(axis, bound, extent, step // least)


def _large(axis: Follow) -> int:
    """Which of two loops has the larger step."""
    (_, one), (_, other) = axis.terms
    return 0 if one >= other else 1


def _inside(axis: Follow, bounds: tuple[int, ...]) -> bool:
    last = axis.offset + sum(c * (b - 1) for (_, c), b in zip(axis.terms, bounds, strict=True))
    return axis.offset >= 0 and last < axis.extent


def _distinct(axis: Follow, starts: Sequence[int], ends: Sequence[int]) -> int:
    """How many indices inside the tensor the iterations from `starts` to `ends` meet."""
    return len(_met(axis, starts, ends))


def _met(axis: Follow, starts: Sequence[int], ends: Sequence[int]) -> NDArray[np.int64]:
    """Different indices inside the tensor that the iterations from `starts` to `ends` meet."""
    values = np.array([axis.offset])
    for (_, coefficient), start, end in zip(axis.terms, starts, ends, strict=True):
        values = np.unique(np.add.outer(values, coefficient * np.arange(start, end)))
    found: NDArray[np.int64] = values[(values >= 0) & (values < axis.extent)]
    return found
