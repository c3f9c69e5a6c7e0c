"""Sparse weights times dense activations whose activations are copied into panels first.

The activations that a tile of pixels needs, a column for each input channel and tap, are copied
next to each other: a panel, cut along the reduction so that it stays in the second-level cache.
There each nonzero of the weight reads whole aligned vectors, whatever the size of the map, its
strides and its borders (packing as in Goto and van de Geijn, "Anatomy of high-performance matrix
multiplication", 2008; the loop over nonzeros as in Elsen et al., "Fast sparse ConvNets", 2020).

Sums are kept in working memory between panels. A list visits several neighbouring tiles before the
next, so that the output is written in long runs. Threads share such runs, or where there are few
of them, the lists.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.sparse_cut import Cut, cut
from codesign.targets.tvm.kernels.sparse_end import End
from codesign.targets.tvm.kernels.sparse_frame import Frame
from codesign.targets.tvm.kernels.sparse_list import Lists
from codesign.targets.tvm.kernels.sparse_plane import Plane
from codesign.targets.tvm.kernels.sparse_point import Point, accepts, lists
from codesign.targets.tvm.tir import Function, PrimFunc, Registers, load, load_flat, zeros

UNROLLED = 8  # lines of a column whose copy is written out
TASKS = 2  # a thread, so that none waits long for another


@dataclass(frozen=True)
class Panels:
    """A weight in `blocks` panels of at most `size` columns, `count` lists each.

    `sources`: where each column begins in the image. `starts`: for each panel and list, where it
    begins among `columns` (offsets in the panel) and `values`.
    """

    blocks: int
    size: int
    count: int
    sources: NDArray[np.int32]
    starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The buffers, in argument order."""
        return self.sources, self.starts, self.columns, self.values


def pack(w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point) -> Panels:
    """The arrays of a weight [OC, IC, k...]."""
    found = cut(shape, isa, point.vectors, point.tiles)
    require(found is not None and shape.groups == 1, "sparse", shape, "pixels and one group")
    assert found is not None
    used, rows, size = lists(w, point.rows), point.rows, point.panel
    count, depth = used.shape
    blocks = -(-depth // size)
    number, column = np.nonzero(used)
    lengths = np.zeros((count, blocks), np.int64)
    np.add.at(lengths, (number, column // size), 1)
    padded = -(-lengths.T // point.chains) * point.chains
    starts = np.concatenate([[0], np.cumsum(padded)])
    first = starts[:-1].reshape(blocks, count)
    before = (np.cumsum(lengths) - lengths.reshape(-1)).reshape(count, blocks)
    at = first[column // size, number] + np.arange(column.size) - before[number, column // size]
    columns = np.zeros(max(int(starts[-1]), 1), np.int32)
    values = np.zeros((columns.size, rows), np.float32)
    flat = np.zeros((count * rows, depth), np.float32)
    flat[: w.shape[0]] = w.reshape(w.shape[0], -1)
    columns[at] = column % size * found.pitch
    values[at] = flat.reshape(count, rows, depth)[number, :, column]
    sources = Plane(shape).offsets().reshape(-1).astype(np.int32)
    return Panels(blocks, size, count, sources, starts.astype(np.int32), columns, values)


def emit(
    name: str,
    frame: Frame,
    isa: Isa,
    point: Point,
    panels: Panels,
    epilogue: Epilogue,
    threads: int,
) -> PrimFunc:
    """The kernel: buffers are input, the panels' arrays, the epilogue's operands, output."""
    shape = frame.shape
    found = cut(shape, isa, point.vectors, point.tiles)
    require(accepts(shape) and found is not None, "sparse", shape, "one or two axes, forward")
    assert found is not None
    f = Function(name)
    data = f.argument("data", frame.data, "float32")
    arrays = [f.argument(f"weight{i}", a.shape, a.dtype.name) for i, a in enumerate(panels.arrays)]
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", frame.out, epilogue.out_dtype)
    image = frame.image(f, data, isa.f32_lanes)
    end = End(_Flat(shape), found.tile, point.rows, epilogue, operands, out)
    tiles = (shape.n, *found.tile.counts)
    parts = shares(shape.n * found.tile.counts[0] * found.tile.counts[1], panels.count, threads)
    with f.parallel(tiles[0] * tiles[1] * tiles[2] * parts, "task") as task:
        *at, part = (f.let(tirx.convert(v)) for v in unravel(task, (*tiles, parts)))
        _Task(f, frame.plane, found, point, panels, image, tuple(arrays), end, parts).run(at, part)
    return f.build()


def shares(tiles: int, count: int, threads: int) -> int:
    """Tasks into which the lists of a tile are divided."""
    return 1 if threads == 1 else max(1, min(count, -(-TASKS * threads // tiles)))


@dataclass(frozen=True)
class _Flat(Frame):
    """A convolution whose output pixels are numbered in one row."""

    def index(self, number: Expr, channel: Expr, y: Expr, x: Expr) -> tuple[Expr, ...]:
        return (number, channel, *unravel(x, self.shape.out_spatial))


@dataclass(frozen=True)
class _Task:
    """The lists of one part of one tile."""

    f: Function
    plane: Plane
    cut: Cut
    point: Point
    panels: Panels
    image: Buffer
    arrays: tuple[Buffer, ...]
    end: End
    parts: int

    @property
    def vectors(self) -> int:
        """Vectors of sums that a list has in a tile."""
        return self.point.rows * len(self.cut.tile.starts)

    def run(self, at: list[Expr], part: Expr) -> None:
        """Emit everything that the task does."""
        f, plane, panels = self.f, self.plane, self.panels
        number, y, x = self._origin(*at)
        base = f.let(number * (plane.shape.ic * plane.channel) + y * plane.pitch + x)
        pixel = f.let(y * plane.pixels[1] + x)
        panel = f.scratch("panel", (panels.size * self.cut.pitch,), "float32")
        kept = self._kept() if panels.blocks > 1 else None
        last = panels.blocks - 1
        if kept is not None:
            with f.serial(last, "block") as block:
                self._copy(panel, block * panels.size, panels.size, base)
                with self._lists(part) as i, self._sums(panel, kept, block, i) as (tile, acc):
                    for register in range(self.vectors):
                        at = [self._place(i, tile, register)]
                        f.store(kept, acc.load(register), at, acc.lanes)
        self._copy(panel, last * panels.size, panels.sources.size - last * panels.size, base)
        goal = number, pixel
        with self._lists(part) as i, self._sums(panel, kept, last, i, goal) as (tile, acc):
            self.end.keep(f, acc, i, 0, (number, 0, pixel + self._start(tile)), None)

    def _lists(self, part: Expr) -> Any:
        """A loop over the lists of a part."""
        most = -(-self.panels.count // self.parts)
        first = self.f.let(tirx.convert(part * most))
        return self.f.serial(tirx.min(most, self.panels.count - first), "list", first)

    def _origin(self, number: Expr, high: Expr, wide: Expr) -> tuple[Expr, Expr, Expr]:
        """(image, row, column) where the tile begins; the last ones begin earlier and overlap."""
        rows, columns = self.plane.pixels
        y = tirx.min(high * self.cut.lines, rows - self.cut.lines)
        x = tirx.min(wide * self.cut.width, columns - self.cut.width)
        return number, self.f.let(tirx.convert(y)), self.f.let(tirx.convert(x))

    def _kept(self) -> Buffer:
        """Sums between panels, at first zero: [lists, tiles, vectors, lanes]."""
        lanes, count = self.cut.tile.lanes, self.panels.count * self.cut.tiles * self.vectors
        kept = self.f.scratch("kept", (count * lanes,), "float32")
        with self.f.serial(count, "i") as i:
            self.f.store(kept, zeros(lanes), (i * lanes,), lanes)
        return kept

    def _place(self, i: Expr, tile: Expr, register: int) -> Expr:
        """Where a sum is kept."""
        number = (i * self.cut.tiles + tile) * self.vectors + register
        return number * self.cut.tile.lanes

    def _start(self, tile: Expr) -> Expr:
        """First pixel of a tile; the last begins earlier and overlaps."""
        return tirx.min(tile * self.cut.tile.width, self.cut.last)

    def _copy(self, panel: Buffer, first: Expr, count: int, base: Expr) -> None:
        """Copy `count` columns from number `first` on."""
        f, found = self.f, self.cut
        with f.serial(count, "column") as column:
            source = f.let(load(self.arrays[0], (first + column,)) + base)
            target = f.let(tirx.convert(column * found.pitch))
            if found.lines <= UNROLLED:
                for line in range(found.lines):
                    self._line(panel, line, source, target)
            else:
                with f.serial(found.lines, "line") as line:
                    self._line(panel, line, source, target)

    def _line(self, panel: Buffer, line: Expr, source: Expr, target: Expr) -> None:
        found = self.cut
        for start in found.starts:
            x = load_flat(self.image, source + line * self.plane.pitch + start, found.lanes)
            self.f.store(panel, x, (target + line * found.width + start,), found.lanes)

    @contextmanager
    def _sums(
        self,
        panel: Buffer,
        kept: Buffer | None,
        block: Expr,
        i: Expr,
        goal: tuple[Expr, Expr] | None = None,
    ) -> Iterator[tuple[Expr, Registers]]:
        """A loop over tiles, and the sums that list `i` of a panel has in each.

        `goal`: image and first pixel of what will be written, if anything will.
        """
        f = self.f
        starts = self.arrays[1]
        entry = f.let(tirx.convert(block * self.panels.count + i))
        first = f.let(load(starts, (entry,)))
        steps = f.let(tirx.floordiv(load(starts, (entry + 1,)) - first, self.point.chains))
        with f.serial(self.cut.tiles, "tile") as tile:
            start = f.let(tirx.convert(self._start(tile)))
            if goal is not None:
                self.end.fetch(f, i + 1, (goal[0], 0, goal[1] + start))
            columns, values = self.arrays[-2:]
            lists = Lists(f, self.point, self.cut.tile, columns, values, panel)
            acc = lists.zeros()
            if kept is not None:
                for register in range(self.vectors):
                    acc.store(register, load(kept, (self._place(i, tile, register),), acc.lanes))
            lists.add(acc, first, steps, start)
            yield tile, acc
