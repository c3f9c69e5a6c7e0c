"""How the elements come by an operand: through the memories of their own, from the tile's buffer.

Each memory is an array of what its instances hold and of nothing else; a dimension for each of the
operand's axes. A table says from where in the memory around it each element came. What lies outside
of a tensor reads zero, the value that follows the last element.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.targets.spatial.simulate.plan import Range
from codesign.targets.spatial.simulate.window import Grid, Window

MOST = 1 << 21  # numbers that a table of places may have to be kept
Values = NDArray[Any]
Parts = Mapping[str, Range]


@dataclass(frozen=True, eq=False)
class Table:
    """Which elements of an array [by axis] to take, one list an axis; `size` is the array's."""

    picks: tuple[Grid, ...]
    size: tuple[int, ...]

    @cached_property
    def straight(self) -> bool:
        """Whether the array is taken as it is."""
        pairs = zip(self.picks, self.size, strict=True)
        return all(len(p) == n and np.array_equal(p, np.arange(n)) for p, n in pairs)

    @cached_property
    def flat(self) -> Grid | None:
        """The same as numbers of elements, None if there are too many of them."""
        if prod(len(pick) for pick in self.picks) > MOST:
            return None
        found = np.zeros((), np.int64)
        for pick, size in zip(self.picks, self.size, strict=True):
            found = found[..., None] * size + pick
        return found

    def take(self, array: Values) -> Values:
        """The elements, with a dimension for each axis."""
        if self.straight:
            return array
        if self.flat is None:
            return np.asarray(array[np.ix_(*self.picks)])
        return np.take(array.reshape(-1), self.flat)


@dataclass(frozen=True, eq=False)
class Gather:
    """The tables from the buffer's tile to the elements, and the loops of the last one's result."""

    tables: tuple[Table, ...]
    loops: tuple[str, ...]
    extents: tuple[int, ...]

    def read(self, buffer: Values) -> Values:
        """What the elements read, [iterations by loop]."""
        for table in self.tables:
            buffer = table.take(buffer)
        return buffer.reshape(self.extents)


def gather(windows: Sequence[Window], levels: Sequence[int], parts: Parts) -> Gather:
    """Through instances of `levels`, for the iterations `parts` of a tile."""
    steps: list[list[Grid]] = [[] for _ in range(len(levels) + 1)]
    sizes: list[list[int]] = [[] for _ in range(len(levels) + 1)]
    for window in windows:
        cut = tuple(slice(*parts[x]) for x in window.loops)
        place, size = window.position[cut].reshape(-1), len(window.held) + (not window.whole)
        for number, level in enumerate(levels):
            picks, inner = _filled(window, level, cut)
            steps[number].append(place[picks])
            sizes[number].append(size)
            place, size = inner, len(picks)
        steps[-1].append(place)
        sizes[-1].append(size)
    tables = tuple(Table(tuple(p), tuple(n)) for p, n in zip(steps, sizes, strict=True))
    loops = tuple(x for window in windows for x in window.loops)
    return Gather(tables, loops, tuple(parts[x][1] - parts[x][0] for x in loops))


def _filled(window: Window, level: int, cut: tuple[slice, ...]) -> tuple[Grid, Grid]:
    """(a point for each element of the instances' tiles, the element that each point reads).

    The last element is what points outside the tensor read, if there are any.
    """
    span = int(window.index.max(initial=0)) + 1
    where = window.instance(level)[cut].reshape(-1)
    outside = ~window.inside[cut].reshape(-1)
    key = where * span + window.index[cut].reshape(-1)
    key[outside] = (int(where.max(initial=0)) + 1) * span
    _, first, inner = np.unique(key, return_index=True, return_inverse=True)
    return first, inner.reshape(-1)
