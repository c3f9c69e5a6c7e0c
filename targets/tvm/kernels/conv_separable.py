"""Separable convolutions and inverted residual blocks on the blocked layout, float32.

Input [N, ceil(C/b), H, W, b], output [N, ceil(OC/b), OH, OW, b], b = shape.block. For each tile of
rows, each tile of expanded channels is made and convolved depthwise at once; then the tile's pixels
are multiplied with the last weights (see `separable`). Padding is never stored: taps outside the
expanded map are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import conv_depthwise, schedule, separable, tiled
from codesign.targets.tvm.kernels.separable import Block, Cut, pixels_of, row_of
from codesign.targets.tvm.kernels.sink import Index, Sink
from codesign.targets.tvm.kernels.tiled import Layout, Tiles, packed_shape
from codesign.targets.tvm.kernels.window import split
from codesign.targets.tvm.tir import Function, PrimFunc

Array = NDArray[np.float32]
NEAR = 400 * 1024  # bytes of a tile above which tiles were seen to get slower


@dataclass(frozen=True)
class Point:
    """Rows of a tile, bands of tiles an image, and a register tile for each convolution."""

    rows: int
    bands: int
    expand_cols: int
    expand_blocks: int
    cols: int
    pixels: int
    blocks: int


def space(block: Block, isa: Isa, threads: int) -> list[Point]:
    """Every cut into rows and bands, with the register tiles of the convolutions' own models."""
    return [_point(cut, isa) for cut in separable.cuts(block, threads, _row_bytes(block))]


def default(block: Block, isa: Isa, threads: int) -> Point:
    """As many rows as the cache has room for."""
    return _point(separable.best(block, threads, _row_bytes(block), NEAR), isa)


def _row_bytes(block: Block) -> tuple[int, int]:
    d = block.depth
    pixel = 4 * d.ic_blocks * d.block
    return pixel * d.spatial[1] if block.expand else 0, pixel * d.out_spatial[1]


def _point(cut: Cut, isa: Isa) -> Point:
    block = cut.block
    expand, cols, blocks = block.expand, 1, 1
    if expand is not None:
        tile = schedule.best(row_of(expand), isa, expand.block)
        cols, blocks = tile.cols, tile.blocks
    last = schedule.best(pixels_of(block.project, cut.rows), isa, block.project.block)
    width = conv_depthwise.default(block.depth, isa).cols
    return Point(cut.rows, cut.bands, cols, blocks, width, last.rows, last.blocks)


def cut(block: Block, point: Point) -> Cut:
    """The tiles of `point`."""
    return Cut(block, point.rows, point.bands)


def pack_weights(weights: list[Array], block: Block, isa: Isa, point: Point) -> list[Array]:
    """The weights of the convolutions in the order in which the kernel reads them."""
    found, left = [], list(weights)
    if block.expand is not None:
        found.append(tiled.pack(left.pop(0), block.expand, block.expand.block, _expand(point)))
    own = conv_depthwise.Point(point.cols, point.rows)
    found.append(conv_depthwise.pack_weight(left[0], block.depth, isa, own))
    found.append(tiled.pack(left[1], block.project, block.project.block, _project(point)))
    return found


def _expand(point: Point) -> tiled.Point:
    return tiled.Point(point.expand_cols, 1, point.expand_blocks, 1)


def _project(point: Point) -> tiled.Point:
    return tiled.Point(1, point.pixels, point.blocks, 1)


def emit(name: str, block: Block, isa: Isa, point: Point, epilogues: list[Epilogue]) -> PrimFunc:
    """The kernel: buffers are input, then for each convolution its weight and operands, output."""
    f, d, p = Function(name), block.depth, block.project
    data = f.argument("data", block.stages[0].blocked_input, "float32")
    shapes = [(d.ic_blocks, *d.kernel, d.block), packed_shape(p, p.block, _project(point))]
    if block.expand is not None:
        shapes.insert(0, packed_shape(block.expand, block.expand.block, _expand(point)))
    weights, operands = [], []
    for i, (shape, epilogue) in enumerate(zip(shapes, epilogues, strict=True)):
        weights.append(f.argument(f"weight{i}", shape, "float32"))
        operands.append(
            tuple(f.argument(f"{o.name}_{i}", o.shape, o.dtype) for o in epilogue.operands)
        )
    out = f.argument("out", p.blocked_output, epilogues[-1].out_dtype)
    rows = cut(block, point)
    with f.parallel(rows.tasks, "task") as task:
        bands = rows.tasks // d.n
        image = f.let(tirx.floordiv(task, bands), "image")
        band = f.let(tirx.floormod(task, bands), "band")
        work = _Work(f, rows, point, data, weights, epilogues, operands, out, image)
        work.band(band)
    return f.build()


@dataclass(frozen=True)
class _Work:
    """One task: a band of tiles of one image."""

    f: Function
    cut: Cut
    point: Point
    data: Buffer
    weights: list[Buffer]
    epilogues: list[Epilogue]
    operands: list[tuple[Buffer, ...]]
    out: Buffer
    image: Expr

    def band(self, band: Expr) -> None:
        f, cut, d = self.f, self.cut, self.cut.block.depth
        ring, between = None, (d.ic_blocks, cut.rows * d.out_spatial[1], 1, d.block)
        if cut.block.expand is not None:
            shape = (1, d.ic_blocks, cut.ring, d.spatial[1], d.block)
            ring = f.scratch("ring", shape, "float32")
        tile = f.scratch("tile", (1, *between), "float32")
        first = band * cut.span
        with f.serial(tirx.min(cut.span, cut.tiles - first), "tile", first) as number:
            row, start, count = cut.begin(f, band, number)
            self._deep(ring, tile, row, start, count)
            self._project(tile, row)

    def _deep(self, ring: Buffer | None, tile: Buffer, row: Expr, start: Expr, count: Expr) -> None:
        """The depthwise result of a tile, made of the input or of the expanded rows."""
        f, step, d = self.f, self.point.expand_blocks, self.cut.block.depth
        with f.serial(d.ic_blocks // step, "channels") as number:
            if ring is not None:
                with f.serial(count, "y", start) as y:
                    self._expand(ring, number).row_tile(1, y)
            with f.serial(step, "block") as i:
                self._depthwise(ring, tile, row, number * step + i)

    def _expand(self, ring: Buffer, number: Expr) -> Tiles:
        shape = self.cut.block.expand
        assert shape is not None

        def part(index: Index) -> Index:
            _, block, y, *rest = index
            return (0, block, tirx.truncmod(y, self.cut.ring), *rest)

        layout = Layout(shape.block, shape.blocked_input, shape.blocked_output)
        tiles, weight = shape.oc_blocks // self.point.expand_blocks, self.weights[0]
        over = tiled.reduce_over(shape, layout, self.data, weight, self.image, number, tiles)
        first = number * self.point.expand_blocks
        point = _expand(self.point)
        return Tiles(self.f, shape, point, layout, over, self._sink(0, ring, part), first)

    def _depthwise(self, ring: Buffer | None, tile: Buffer, row: Expr, block: Expr) -> None:
        shape, width = self.cut.block.depth, self.cut.block.depth.out_spatial[1]

        def part(index: Index) -> Index:
            _, block, y, x, lane = index
            return (0, block, (y - row) * width + x, 0, lane)

        source, rows = (self.data, 0) if ring is None else (ring, self.cut.ring)
        work = conv_depthwise.Rows(
            self.f,
            shape,
            source,
            self.weights[-2],
            self._sink(-2, tile, part),
            self.image,
            block,
            rows,
        )
        work.emit(row, self.cut.rows, self.point.cols)

    def _project(self, tile: Buffer, row: Expr) -> None:
        whole = self.cut.block.project
        shape, place = pixels_of(whole, self.cut.rows), (self.image, row)
        band = len(split(shape.spatial[0], self.point.pixels))
        point = replace(_project(self.point), band=band)
        layout = Layout(
            shape.block, shape.blocked_input, whole.blocked_output, whole.spatial[1], first=place
        )
        tiles, weight = shape.oc_blocks // point.blocks, self.weights[-1]
        with self.f.serial(tiles, "channels") as number:
            over = tiled.reduce_over(shape, layout, tile, weight, 0, number, tiles)
            sink = self._sink(-1, self.out, None)
            first = number * point.blocks
            Tiles(self.f, shape, point, layout, over, sink, first).band(0)

    def _sink(self, stage: int, out: Buffer, part: Callable[[Index], Index] | None) -> Sink:
        return Sink(self.f, self.epilogues[stage], self.operands[stage], out, part)
