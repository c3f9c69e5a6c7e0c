"""Matrix products in float32: register tiles over panels of columns.

A tile keeps `rows` x `vectors` accumulators in registers over the whole reduction; each step loads
`vectors` vectors of b and multiplies each with one element of every row of a (Goto and van de
Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008). A constant b is packed by panels,
[panels, K, columns of a panel], so that it is read in order; another one is read as it lies.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.window import split
from codesign.targets.tvm.tir import (
    Buffer,
    Expr,
    Function,
    PrimFunc,
    Registers,
    load,
    multiply_add,
    splat,
)

LATENCY = 4  # cycles of a multiply-add
STEP = 0.5  # cycles lost at each step of the reduction's loop
STORE = 1.5  # cycles per accumulator to clear and store a tile
BAND = 512 * 1024  # bytes of a that one task should walk at most


@dataclass(frozen=True)
class Point:
    """A schedule: rows and vectors of columns of a tile."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class GemmShape:
    """a [*batch, *rows, K] times b [*batch, K, columns], both broadcast over `batch`.

    `a` and `b` are the operands' shapes, `out` the result's; `packed`: b is constant, of two axes,
    and packed. `lines` are the axes of a and of the result that are rows.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    out: tuple[int, ...]
    batch: tuple[int, ...]
    lines: tuple[int, ...]
    columns: int
    depth: int
    packed: bool

    @property
    def rows(self) -> int:
        """Rows of one product."""
        return prod(self.lines)

    def a_index(self, batch: tuple[Expr, ...], row: Expr, k: Expr) -> tuple[Expr, ...]:
        """Where a's element lies."""
        lines = unravel(row, self.lines) if len(self.a) > 1 else ()
        lead = self.a[: len(self.a) - len(lines) - 1]
        return (*_broadcast(batch, lead), *lines, k)

    def b_index(self, batch: tuple[Expr, ...], k: Expr, column: Expr) -> tuple[Expr, ...]:
        """Where b's element lies, unless it is packed."""
        if len(self.b) == 1:
            return (k,)
        return (*_broadcast(batch, self.b[:-2]), k, column)

    def out_index(self, batch: tuple[Expr, ...], row: Expr, column: Expr) -> tuple[Expr, ...]:
        """Where the result's element lies."""
        lines = unravel(row, self.lines) if len(self.a) > 1 else ()
        last = (column,) if len(self.b) > 1 else ()
        return (*batch, *lines, *last) or (0,)


def _broadcast(batch: tuple[Expr, ...], extents: tuple[int, ...]) -> tuple[Expr, ...]:
    used = batch[len(batch) - len(extents) :]
    return tuple(0 if e == 1 else i for i, e in zip(used, extents, strict=True))


def lanes_of(shape: GemmShape, isa: Isa) -> int:
    """Elements of a vector: fewer where an unpacked b has fewer columns."""
    return isa.f32_lanes if shape.packed else min(isa.f32_lanes, shape.columns)


def space(shape: GemmShape, isa: Isa) -> list[Point]:
    """Every tile that fits the registers of `isa`."""
    fused = isa.vector_bits > 128 or isa.triple.startswith("aarch64")
    spare = 1 if fused else 2
    most = -(-shape.columns // lanes_of(shape, isa))
    return [
        Point(rows, vectors)
        for vectors in range(1, min(8, most) + 1)
        for rows in sorted({split(shape.rows, limit)[0] for limit in range(1, 15)})
        if rows * vectors + vectors + spare <= isa.registers
    ]


def default(shape: GemmShape, isa: Isa) -> Point:
    """The tile with the fewest cycles: multiply-adds, loads or latency, whichever is most."""

    def cycles(point: Point) -> float:
        total = 0.0
        vectors = -(-shape.columns // lanes_of(shape, isa))
        for columns, panels in Counter(split_vectors(vectors, point.vectors)).items():
            for rows, tiles in Counter(split(shape.rows, point.rows)).items():
                step = max(rows * columns / 2, (rows + columns) / 2, LATENCY) + STEP
                one = shape.depth * step + STORE * rows * columns + 10
                total += panels * tiles * one
        return total

    return min(space(shape, isa), key=cycles)


def split_vectors(vectors: int, most: int) -> list[int]:
    """Panels of `most` vectors, the last one what is left."""
    whole, rest = divmod(vectors, most)
    return [most] * whole + ([rest] if rest else [])


def pack(b: NDArray[np.float32], isa: Isa, point: Point) -> NDArray[np.float32]:
    """b [K, N] as [panels, K, columns of a panel], zero beyond N."""
    depth, columns = b.shape
    width = point.vectors * isa.f32_lanes
    panels = -(-columns // width)
    whole = np.zeros((depth, panels * width), np.float32)
    whole[:, :columns] = b
    return np.ascontiguousarray(whole.reshape(depth, panels, width).transpose(1, 0, 2))


def emit(
    name: str, shape: GemmShape, isa: Isa, point: Point, epilogue: Epilogue, deferred: bool
) -> PrimFunc:
    """The kernel: buffers are a, b (packed or not), the epilogue's operands, the result.

    `deferred`: tiles are stored first and go through the epilogue afterwards, in a loop, which
    keeps the code of a long epilogue small.
    """
    f = Function(name)
    lanes = lanes_of(shape, isa)
    width = point.vectors * lanes
    panels = -(-shape.columns // width)
    a = f.argument("a", shape.a or (1,), "float32")
    packed = (panels, shape.depth, width)
    b = f.argument("b", packed if shape.packed else shape.b, "float32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.out or (1,), epilogue.out_dtype)
    heights = split(shape.rows, point.rows)
    band = max(1, min(len(heights), BAND // (4 * shape.depth * point.rows)))
    bands = -(-len(heights) // band)
    whole = shape.columns // width
    for panel, first, count in _panels(shape.columns, width, lanes):
        with f.parallel(prod(shape.batch) * bands * count, "task") as task:
            where = f.let(task // count % bands, "band")
            number = first + task % count
            batch = unravel(task // (count * bands), shape.batch)
            start = number * width if first < whole else panel.start
            work = _Work(f, shape, lanes, a, b, operands, out, epilogue, deferred)
            for rows, begin, tiles in _runs(heights):
                low, high = where * band, (where + 1) * band
                work.rows_of(batch, number, start, panel, rows, begin, tiles, low, high, bands)
    return f.build()


@dataclass(frozen=True)
class _Panel:
    """`columns` columns from `start` on in `vectors` vectors."""

    start: int
    columns: int
    vectors: int


def _panels(columns: int, width: int, lanes: int) -> Iterator[tuple[_Panel, int, int]]:
    """Each kind of panel with the number of its first and how many there are."""
    whole, rest = divmod(columns, width)
    if whole:
        yield _Panel(0, width, width // lanes), 0, whole
    if rest:
        yield _Panel(whole * width, rest, -(-rest // lanes)), whole, 1


def _runs(heights: list[int]) -> Iterator[tuple[int, int, int]]:
    """(rows, first tile, tiles) for each run of equal heights."""
    for rows in dict.fromkeys(heights):
        yield rows, heights.index(rows), heights.count(rows)


@dataclass(frozen=True)
class _Work:
    f: Function
    shape: GemmShape
    lanes: int
    a: Buffer
    b: Buffer
    operands: tuple[Buffer, ...]
    out: Buffer
    epilogue: Epilogue
    deferred: bool

    def rows_of(
        self,
        batch: tuple[Expr, ...],
        number: Expr,
        start: Expr,
        panel: _Panel,
        rows: int,
        begin: int,
        tiles: int,
        low: Expr,
        high: Expr,
        bands: int,
    ) -> None:
        """All tiles of `rows` rows whose number is in [low, high)."""
        # split() puts the higher tiles first: those before `begin` have one row more.
        base = begin * (rows + 1)
        if bands == 1:
            with self.f.serial(tiles, "tile") as tile:
                self.tile(batch, number, start, panel, rows, base + tile * rows)
            return
        first, last = tirx.max(low - begin, 0), tirx.min(high - begin, tiles)
        with self.f.serial(tirx.max(last - first, 0), "tile") as tile:
            self.tile(batch, number, start, panel, rows, base + (first + tile) * rows)

    def tile(
        self,
        batch: tuple[Expr, ...],
        number: Expr,
        start: Expr,
        panel: _Panel,
        rows: int,
        row: Expr,
    ) -> None:
        """One tile: the reduction, then the epilogue."""
        f, shape = self.f, self.shape
        acc = f.registers("acc", rows * panel.vectors, self.lanes, "float32")
        acc.clear()
        columns = self._columns(panel)
        with f.serial(shape.depth, "k") as k:
            for i in range(rows):
                x = splat(load(self.a, shape.a_index(batch, row + i, k)), self.lanes)
                for j, column in enumerate(columns):
                    y = self._b(batch, number, k, start, column, j)
                    at = i * panel.vectors + j
                    acc.store(at, multiply_add(x, y, acc.load(at)))
        if self.deferred:
            self._store(acc, batch, row, start, panel, rows, plain=True)
            with f.serial(rows, "row") as i:
                self._finish(batch, row + i, start, panel)
        else:
            self._store(acc, batch, row, start, panel, rows, plain=False)

    def _columns(self, panel: _Panel) -> list[int]:
        """The first column of each vector; the last one of an unpacked b does not run over."""
        columns = [j * self.lanes for j in range(panel.vectors)]
        if not self.shape.packed:
            columns = [min(c, self.shape.columns - self.lanes - panel.start) for c in columns]
        return columns

    def _b(
        self, batch: tuple[Expr, ...], number: Expr, k: Expr, start: Expr, column: int, j: int
    ) -> Expr:
        if self.shape.packed:
            return load(self.b, (number, k, j * self.lanes), self.lanes)
        index = self.shape.b_index(batch, k, start + column)
        return splat(load(self.b, index), 1) if self.lanes == 1 else load(self.b, index, self.lanes)

    def _store(
        self,
        acc: Registers,
        batch: tuple[Expr, ...],
        row: Expr,
        start: Expr,
        panel: _Panel,
        rows: int,
        plain: bool,
    ) -> None:
        """Store the accumulators, through the epilogue unless `plain`."""
        for i in range(rows):
            for j, column in enumerate(self._columns(panel)):
                width = self.lanes
                if self.shape.packed:
                    width = min(width, panel.columns - column)
                with self.f.vectorized(width) as lane:
                    index = self.shape.out_index(batch, row + i, start + column + lane)
                    value = acc.element(i * panel.vectors + j, lane)
                    if not plain:
                        value = self.epilogue.apply(value, index, self.operands)
                    self.f.store(self.out, value, index)

    def _finish(self, batch: tuple[Expr, ...], row: Expr, start: Expr, panel: _Panel) -> None:
        """Send one stored row of a tile through the epilogue."""
        whole, rest = divmod(panel.columns, self.lanes)

        def apply(column: Expr) -> None:
            index = self.shape.out_index(batch, row, start + column)
            value = self.epilogue.apply(load(self.out, index), index, self.operands)
            self.f.store(self.out, value, index)

        if whole:
            with self.f.serial(whole, "vector") as vector, self.f.vectorized(self.lanes) as lane:
                apply(vector * self.lanes + lane)
        with self.f.serial(rest, "tail") as tail:
            if rest:
                apply(whole * self.lanes + tail)
