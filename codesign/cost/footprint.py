"""How many elements of an operand the tiles of a layer touch: exactly, at edges and halos too.

Tiles of a loop of bound B cut [0, B) at the multiples of the tile's extent; the last one is
shorter. Along an axis that several loops move, such as the rows of a convolution's input, the
elements of a pair of tiles are the distinct values of stride * y + dilation * r + offset that lie
inside the tensor.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
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
