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

from codesign.cost.problem import Follow, Problem


def axis_volume(problem: Problem, axis: Follow, extents: Mapping[str, int]) -> int:
    """Sum over all tiles of the elements along one axis."""
    return _sums(axis, *_sizes(problem, axis, extents))[0]


def axis_largest(problem: Problem, axis: Follow, extents: Mapping[str, int]) -> int:
    """The most elements along one axis that a tile has."""
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


def _inside(axis: Follow, bounds: tuple[int, ...]) -> bool:
    last = axis.offset + sum(c * (b - 1) for (_, c), b in zip(axis.terms, bounds, strict=True))
    return axis.offset >= 0 and last < axis.extent


def _distinct(axis: Follow, starts: Sequence[int], ends: Sequence[int]) -> int:
    """Different indices inside the tensor that the iterations from `starts` to `ends` meet."""
    values = np.array([axis.offset])
    for (_, coefficient), start, end in zip(axis.terms, starts, ends, strict=True):
        values = np.unique(np.add.outer(values, coefficient * np.arange(start, end)))
    return int(((values >= 0) & (values < axis.extent)).sum())
