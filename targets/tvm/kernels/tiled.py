"""A convolution as register tiles: tasks over threads, bands of rows, tiles, the epilogue.

Shared by the direct, pointwise and stem kernels, which differ in how their input is laid out.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.sink import Sink
from codesign.targets.tvm.kernels.tile import Accumulation, Reduction, Tile
from codesign.targets.tvm.kernels.window import Columns, columns, split, windows
from codesign.targets.tvm.tir import Function, PrimFunc

FEW_PIXELS = 256  # up to here weights are used too rarely for the hardware to hide their arrival
AHEAD = 32  # steps of the reduction that weights are then asked for in advance


@dataclass(frozen=True)
class Point:
    """A schedule. `rows` x `cols` pixels by `blocks` channel blocks are held in registers.

    `band` is how many row tiles go through all output channels before the next band begins:
    1 keeps the input rows in the first-level cache, many keep the weights of one channel tile
    in cache over all these rows.
    """

    cols: int
    rows: int
    blocks: int
    band: int


@dataclass(frozen=True)
class Layout:
    """How the buffers lie: input channels in blocks of `depth`, physical shapes, row width.

    With `width`, the shape's rows are single pixels of a map that is `width` pixels wide. With
    `up`, the shape's channel blocks are those of each pixel of an (up x up) square in turn. With
    `first`, the shape is a part of the output that begins at this (image, row).
    """

    depth: int
    data: tuple[int, ...]
    out: tuple[int, ...]
    width: int = 0
    up: tuple[int, int] = (1, 1)
    first: tuple[Expr, Expr] | None = None

    def place(self, image: Expr, block: Expr, y: Expr, x: Expr) -> tuple[Expr, Expr, Expr, Expr]:
        """Indices in the output of what the shape calls (image, block, y, x)."""
        if self.width:
            y, x = tirx.floordiv(y, self.width), tirx.floormod(y, self.width)
        if self.first is not None:
            image, y = self.first[0], self.first[1] + y
        if self.up == (1, 1):
            return image, block, y, x
        pixel, (high, wide) = tirx.floordiv(block, self.out[1]), self.up
        dy, dx = tirx.floordiv(pixel, wide), tirx.floormod(pixel, wide)
        return image, tirx.floormod(block, self.out[1]), y * high + dy, x * wide + dx


def emit_tiles(
    name: str, shape: ConvShape, layout: Layout, point: Point, epilogue: Epilogue
) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    f = Function(name)
    data = f.argument("data", layout.data, "float32")
    weight = f.argument("weight", packed_shape(shape, layout.depth, point), "float32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", layout.out, epilogue.out_dtype)
    oc_tiles, bands = shape.oc_blocks // point.blocks, _bands(shape, point)
    with f.parallel(shape.n * bands * oc_tiles, "task") as task:
        channel_tile = f.let(tirx.floormod(task, oc_tiles), "channel_tile")
        band = f.let(tirx.floormod(tirx.floordiv(task, oc_tiles), bands), "band")
        image = f.let(tirx.floordiv(task, oc_tiles * bands), "image")
        reduction = reduce_over(shape, layout, data, weight, image, channel_tile, oc_tiles)
        sink = Sink(f, epilogue, operands, out)
        Tiles(f, shape, point, layout, reduction, sink, channel_tile * point.blocks).band(band)
    return f.build()


def _bands(shape: ConvShape, point: Point) -> int:
    return -(-len(split(shape.out_spatial[0], point.rows)) // point.band)


def reduce_over(
    shape: ConvShape,
    layout: Layout,
    data: Buffer,
    weight: Buffer,
    image: Expr,
    channel_tile: Expr,
    oc_tiles: int,
) -> Reduction:
    """What one task of `shape` reduces over: `channel_tile` of `oc_tiles` of one image."""
    vertical, horizontal = windows(shape)
    group = tirx.floordiv(channel_tile, oc_tiles // shape.groups)
    return Reduction(
        data,
        weight,
        image,
        group * -(-shape.group_ic // layout.depth),
        channel_tile,
        shape.group_ic,
        layout.depth,
        vertical,
        horizontal,
        AHEAD if prod(shape.out_spatial) <= FEW_PIXELS else 0,
    )


@dataclass(frozen=True)
class Tiles:
    """The register tiles of one tile of output channels."""

    f: Function
    shape: ConvShape
    point: Point
    layout: Layout
    reduction: Reduction
    sink: Sink
    first_block: Expr

    def band(self, band: Expr) -> None:
        """All row tiles of one band; the last tiles of a map may be one row shorter."""
        tiles = split(self.shape.out_spatial[0], self.point.rows)
        full, high, low = tiles.count(tiles[0]), tiles[0], tiles[-1]
        count: Expr = self.point.band
        if len(tiles) % self.point.band:
            count = tirx.min(self.point.band, len(tiles) - band * self.point.band)
        with self.f.serial(count, "row_tile", band * self.point.band) as t:
            if full == len(tiles):
                self.row_tile(high, t * high)
                return
            with self.f.when(t < full):
                self.row_tile(high, t * high)
            with self.f.otherwise():
                self.row_tile(low, t * low + full * (high - low))

    def row_tile(self, rows: int, y: Expr) -> None:
        """All columns of the `rows` rows from `y` on."""
        for run in columns(self.reduction.horizontal, self.point.cols):
            tile = Tile(rows, run.width, self.point.blocks, self.shape.block)
            if run.count == 1:
                self._tile(tile, run, y, run.start)
                continue
            with self.f.serial(run.count, "col_tile") as c:
                self._tile(tile, run, y, run.start + c * run.width)

    def _tile(self, tile: Tile, run: Columns, y: Expr, x: Expr) -> None:
        acc = Accumulation(self.f, tile, run.taps, y, x, self.reduction).emit()
        for row in range(tile.rows):
            for col in range(tile.cols):
                for block in range(tile.blocks):
                    place = (self.reduction.image, self.first_block + block, y + row, x + col)
                    at = self.layout.place(*place)
                    self.sink.store(acc, tile.register(row, col, block), at)


def packed_shape(shape: ConvShape, depth: int, point: Point) -> tuple[int, ...]:
    """Shape of the packed weight: [OC tiles, IC blocks, kh, kw, depth, channels of a tile]."""
    ic_blocks = -(-shape.group_ic // depth)
    tiles = shape.oc_blocks // point.blocks
    return (tiles, ic_blocks, *shape.kernel, depth, point.blocks * shape.block)


def pack(w: NDArray[np.float32], shape: ConvShape, depth: int, point: Point) -> NDArray[np.float32]:
    """Pack [OC, IC/groups, kh, kw] so that the kernel reads it in one stream; zeros pad it."""
    tiles, ic_blocks, kh, kw, _, lanes = packed_shape(shape, depth, point)
    full = np.zeros((tiles * lanes, ic_blocks * depth, kh, kw), np.float32)
    full[: w.shape[0], : w.shape[1]] = w.reshape(w.shape[0], w.shape[1], kh, kw)
    parts = full.reshape(tiles, lanes, ic_blocks, depth, kh, kw)
    return np.ascontiguousarray(parts.transpose(0, 2, 4, 5, 3, 1))
