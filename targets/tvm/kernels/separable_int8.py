"""Separable convolutions and inverted residual blocks on 8-bit codes, channels last.

Input [N, 1, H, W, C'] u8, output [N, 1, OH, OW, OC'], channels rounded up to 16. For each tile of
rows the expanded rows that are missing go into a ring of padded rows, which hold the code of zero
where nothing is expanded; then the depthwise and the last convolution make the tile. Without an
expansion the ring holds the rows of the input (see `separable`). Every convolution rescales its
sums to codes as it would alone, so results are the same bit for bit.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import depthwise_int8, int8_engine, int8_tile, separable
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.conv_int8 import by_pixels
from codesign.targets.tvm.kernels.int8_layout import Image, Part, Plane
from codesign.targets.tvm.kernels.int8_tile import Reduction
from codesign.targets.tvm.kernels.separable import Block, Cut, pixels_of, row_of
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc

Array = npt.NDArray[np.signedinteger]
NEAR = 120 * 1024  # bytes of a tile above which tiles were seen to get slower


@dataclass(frozen=True)
class Point:
    """Rows of a tile, bands of tiles an image; register tiles of the convolutions."""

    rows: int
    bands: int
    expand_blocks: int
    expand_columns: int
    deep: int
    blocks: int
    columns: int


@dataclass(frozen=True)
class Plan:
    """A block cut into tiles of rows, for an instruction set."""

    cut: Cut
    isa: Isa

    @property
    def depth(self) -> Plane:
        """The depthwise convolution of the whole map."""
        return layout.plane(self.cut.block.depth, "separable_int8")

    @property
    def tile(self) -> Plane:
        """The depthwise convolution of one tile, padding done."""
        p, rows = self.depth, self.cut.rows
        return replace(p, n=1, h=self.cut.ring, w=self.width, oh=rows, top=0, left=0)

    @property
    def width(self) -> int:
        """Columns of a row of the ring."""
        return max(self.depth.pw, self.depth.left + self.depth.w)

    @cached_property
    def expand(self) -> Reduction | None:
        """The expansion of one row."""
        shape = self.cut.block.expand
        return None if shape is None else _reduction(row_of(shape), self.isa)

    @cached_property
    def project(self) -> Reduction:
        """The last convolution of the pixels of a tile."""
        flat = pixels_of(self.cut.block.project, self.cut.rows)
        return _reduction(replace(flat, spatial=(1, flat.spatial[0])), self.isa)


def _reduction(shape: ConvShape, isa: Isa) -> Reduction:
    return int8_tile.reduction(layout.plane(shape, "separable_int8"), isa)


def space(block: Block, isa: Isa, threads: int) -> list[Point]:
    """Every cut into rows and bands, with the register tiles of the convolutions' own models."""
    return [_point(Plan(cut, isa)) for cut in separable.cuts(block, threads, _row_bytes(block))]


def default(block: Block, isa: Isa, threads: int) -> Point:
    """As many rows as the cache has room for."""
    return _point(Plan(separable.best(block, threads, _row_bytes(block), NEAR), isa))


def _row_bytes(block: Block) -> tuple[int, int]:
    pixel = layout.channels(block.depth.ic)
    return pixel * block.depth.spatial[1], pixel * block.depth.out_spatial[1]


def _point(plan: Plan) -> Point:
    cut = plan.cut
    first = int8_engine.space(plan.expand, plan.isa)[0] if plan.expand else None
    last = int8_engine.space(plan.project, plan.isa)[0]
    d = cut.block.depth
    part = replace(d, n=1, spatial=(cut.ring, d.spatial[1]), pads=((0, 0), d.pads[1]))
    deep = depthwise_int8.default(part, plan.isa).rows
    expand = (first.blocks, first.columns) if first else (1, 1)
    return Point(cut.rows, cut.bands, *expand, deep, last.blocks, last.columns)


def plan(block: Block, isa: Isa, point: Point) -> Plan:
    """The tiles of `point`."""
    return Plan(Cut(block, point.rows, point.bands), isa)


def _first(point: Point) -> int8_tile.Point:
    return int8_tile.Point(point.expand_blocks, 1, point.expand_columns, 1)


def _last(point: Point) -> int8_tile.Point:
    return int8_tile.Point(point.blocks, 1, point.columns, 1)


def pack_weights(
    weights: list[npt.NDArray[np.int8]], block: Block, isa: Isa, point: Point
) -> list[Array]:
    """The weights of the convolutions in the order in which the kernel reads them."""
    made = plan(block, isa, point)
    deep = depthwise_int8.Point(point.deep)
    found: list[Array] = [depthwise_int8.pack_weight(weights[-2], block.depth, isa, deep)]
    found.append(int8_engine.pack(made.project, isa, weights[-1], _last(point)))
    if made.expand is not None:
        found.insert(0, int8_engine.pack(made.expand, isa, weights[0], _first(point)))
    return found


def emit(
    name: str, block: Block, isa: Isa, point: Point, epilogues: list[Epilogue], zero: int
) -> PrimFunc:
    """The kernel: buffers are input, then for each convolution its weight and operands, output.

    `zero` is the code of zero in the map that the depthwise convolution reads. Epilogues but the
    last look at channels alone.
    """
    f, made, d = Function(name), plan(block, isa, point), block.depth
    first = block.stages[0]
    source = layout.argument(f, "x", layout.activation(d.n, first.ic, first.spatial), "uint8")
    weights, operands = [], []
    for i, epilogue in enumerate(epilogues):
        weights.append(_declare(f, made, point, i - len(epilogues)))
        operands.append(
            tuple(f.argument(f"{o.name}_{i}", o.shape, o.dtype) for o in epilogue.operands)
        )
    shape = layout.activation(d.n, block.project.oc, d.out_spatial)
    out = layout.argument(f, "y", shape, epilogues[-1].out_dtype)
    if made.expand is not None:
        whole = layout.plane(first, "separable_int8")
        source = layout.padded(f, source, whole, made.expand.channels, 0, made.expand.dot.element)
    tasks = made.cut.tasks
    with f.parallel(tasks, "task") as task:
        bands = tasks // d.n
        work = _Work(f, made, point, source, weights, epilogues, operands, out, zero, task // bands)
        work.band(task % bands)
    return f.build()


def _declare(f: Function, made: Plan, point: Point, stage: int) -> Buffer:
    if stage == -2:
        return f.argument("w", depthwise_int8.packed_shape(made.cut.block.depth, made.isa), "int8")
    if stage == -1:
        return int8_engine.declare(f, made.project, made.isa, _last(point))
    assert made.expand is not None
    return int8_engine.declare(f, made.expand, made.isa, _first(point))


@dataclass(frozen=True)
class _Work:
    """One task: a band of tiles of image `n`."""

    f: Function
    plan: Plan
    point: Point
    source: Image
    weights: list[Buffer]
    epilogues: list[Epilogue]
    operands: list[tuple[Buffer, ...]]
    out: Image
    zero: int
    n: Expr

    def band(self, band: Expr) -> None:
        f, cut, p = self.f, self.plan.cut, self.plan.depth
        ring = self._scratch("ring", cut.ring, self.plan.width)
        tile = self._scratch("tile", cut.rows, p.ow)
        self._sides(ring)
        first = band * cut.span
        with f.serial(tirx.min(cut.span, cut.tiles - first), "tile", first) as number:
            row, start, count = cut.begin(f, band, number)
            self._outside(ring, row * p.sh)
            self._fill(ring, start, count)
            self._depthwise(ring, tile, row)
            self._project(tile, row)

    def _scratch(self, name: str, rows: int, columns: int) -> Image:
        shape = (1, 1, rows, columns, layout.channels(self.plan.depth.ic))
        return Image(self.f.scratch(name, shape, "uint8"), shape, "uint8")

    def _ring(self, ring: Image, first: Expr, left: int) -> Part:
        """Rows of the ring from the padded row `first` on."""
        rows = self.plan.cut.ring
        return Part(ring.buffer, ring.shape, "uint8", False, first, rows, left, True)

    def _sides(self, ring: Image) -> None:
        """Zeros left and right of the map, in all rows."""
        p, (*_, rows, columns, depth) = self.plan.depth, ring.shape
        right = p.left + p.w
        with self.f.serial(rows, "row") as row:
            layout.fill(self.f, ring, (0, row), 0, p.left * depth, self.zero)
            layout.fill(self.f, ring, (0, row), right * depth, (columns - right) * depth, self.zero)

    def _outside(self, ring: Image, top: Expr) -> None:
        """Zeros in the padded rows from `top` on that lie above or below the map."""
        f, p = self.f, self.plan.depth
        if not p.padded:
            return
        depth, part = ring.shape[-1], self._ring(ring, top, p.left)
        with f.serial(self.plan.cut.ring, "row") as row:
            y = top + row - p.top
            with f.when(tirx.any(y < 0, y >= p.h)):
                layout.fill(f, part, (0, row), 0, p.w * depth, self.zero)

    def _fill(self, ring: Image, start: Expr, count: Expr) -> None:
        """The rows of the map from `start` on, expanded or as they are."""
        f, p, r = self.f, self.plan.depth, self.plan.expand
        to = self._ring(ring, start + p.top, p.left)
        if r is None:
            size = p.w * ring.shape[-1]
            with f.serial(count, "row") as row:
                layout.copy(f, to, self.source, (0, row, 0), (self.n, start + row), size)
            return
        data = Part(
            self.source.buffer, self.source.shape, self.source.dtype, self.source.flat, start
        )
        with f.when(count > 0):
            int8_engine.kernel(
                f,
                r,
                self.plan.isa,
                _first(self.point),
                data,
                self.weights[0],
                to,
                self.epilogues[0],
                self.operands[0],
            ).walk(self.n, count)

    def _depthwise(self, ring: Image, tile: Image, row: Expr) -> None:
        depthwise_int8.Kernel(
            self.f,
            self.plan.tile,
            depthwise_int8.Point(self.point.deep),
            self.plan.isa,
            self._ring(ring, row * self.plan.depth.sh, 0),
            self.weights[-2],
            tile,
            self.epilogues[-2],
            self.operands[-2],
            self.zero,
        ).walk()

    def _widened(self, tile: Image, element: str) -> Image:
        """The depthwise result as activations that the last convolution multiplies."""
        if tile.dtype == element:
            return tile
        wide = Image(self.f.scratch("wide", tile.shape, element), tile.shape, element)
        *_, rows, columns, depth = tile.shape
        layout.copy(self.f, wide, tile, (0, 0, 0), (0, 0), rows * columns * depth)
        return wide

    def _project(self, tile: Image, row: Expr) -> None:
        f, r, out = self.f, self.plan.project, self.out
        epilogue = by_pixels(self.epilogues[-1], self.plan.depth.ow)
        data = self._widened(tile, r.dot.element)
        to = Part(out.buffer, out.shape, out.dtype, False, row)
        kernel = int8_engine.kernel(
            f,
            r,
            self.plan.isa,
            _last(self.point),
            Part(data.buffer, data.shape, data.dtype, data.flat, alone=True),
            self.weights[-1],
            to,
            epilogue,
            self.operands[-1],
        )
        kernel.walk(self.n, 1)
