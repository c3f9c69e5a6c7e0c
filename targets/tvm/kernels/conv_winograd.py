"""3 x 3 convolution of stride 1 by Winograd's minimal filtering, on the blocked layout.

Input [N, ceil(IC/b), H, W, b], output [N, ceil(OC/b), OH, OW, b], float32, b = shape.block.
Method: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, for
F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3) with the points of `winograd`. A task takes a block of tiles and
a share of the output channels: it transforms its input patches, then, for each group of channels,
multiplies matrices [tiles, IC] x [IC, channels], one for each of the (m+2)^2 points, and
transforms the products back, through the epilogue, into the output.

Weights stay 3 x 3 in memory and are transformed by the task in pieces that stay in cache:
transformed ones are up to four times larger and cost more time to fetch than to make.

Error: relative to the largest |y|, against exact arithmetic, below `winograd.ERROR`: 4e-6 for
m = 2, 2e-5 for m = 4 (typically 1e-6 and 4e-6 at 512 channels).
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import winograd_schedule
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.winograd import (
    TAPS,
    Arithmetic,
    Scheme,
    transform_2d,
    transform_data,
    transform_product,
    weight_row,
)
from codesign.targets.tvm.kernels.winograd_gemm import Ahead, Product
from codesign.targets.tvm.kernels.winograd_schedule import Point, accepts, tiles_of
from codesign.targets.tvm.kernels.winograd_scratch import Panels, Patches
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, Registers, load_flat, zeros

__all__ = ["Point", "accepts", "default", "emit", "pack_weight", "space"]


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Sensible schedules that fit the registers of `isa`."""
    return winograd_schedule.space(shape, isa)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The schedule with the fewest cycles by the model in `winograd_schedule`."""
    return winograd_schedule.best(shape, isa)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [OC, IC, 3, 3]: [OC tiles, IC, 3, 3, channels of a tile], channels padded with zeros."""
    tiles, ic, _, lanes = packed = _packed(shape, point)
    full = np.zeros((tiles * lanes, ic, TAPS**2), np.float32)
    full[: shape.oc, : shape.ic] = w.reshape(shape.oc, shape.ic, TAPS**2)
    parts = full.reshape(tiles, lanes, ic, TAPS**2)
    return np.ascontiguousarray(parts.transpose(0, 2, 3, 1)).reshape(packed)


def _packed(shape: ConvShape, point: Point) -> tuple[int, int, int, int]:
    tiles = shape.oc_blocks // point.blocks
    return tiles, shape.ic_blocks * shape.block, TAPS**2, point.blocks * shape.block


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_winograd", shape, "3 x 3, stride 1, no dilation, no groups")
    f = Function(name)
    data = f.argument("data", shape.blocked_input, "float32")
    weight = f.argument("weight", _packed(shape, point), "float32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.blocked_output, epilogue.out_dtype)
    work = _Work(f, shape, point, Scheme(point.m), data, weight, out, epilogue, operands)
    tiles = prod(tiles_of(shape, point.m)) * shape.n
    parts, groups = -(-tiles // point.tiles), shape.oc_blocks // point.blocks
    if point.shares == 1:
        with f.parallel(parts, "part") as part:
            start = f.let(tirx.min(part * point.tiles, tiles - point.tiles), "start")
            patches = Patches.make(f, shape, point)
            work.patches(patches, start, 0, shape.ic_blocks)
            work.groups(patches, start, 0, groups)
        return f.build()
    with f.serial(parts, "part") as part:
        start = f.let(tirx.min(part * point.tiles, tiles - point.tiles), "start")
        patches = Patches.make(f, shape, point)
        with f.parallel(shape.ic_blocks, "icb") as icb:
            work.patches(patches, start, icb, 1)
        share = groups // point.shares
        with f.parallel(point.shares, "share") as number:
            work.groups(patches, start, number * share, share)
    return f.build()


@dataclass(frozen=True)
class _Work:
    """What a task does; its tiles are `point.tiles` from `start` on."""

    f: Function
    shape: ConvShape
    point: Point
    scheme: Scheme
    data: Buffer
    weight: Buffer
    out: Buffer
    epilogue: Epilogue
    operands: tuple[Buffer, ...]

    def patches(self, patches: Patches, start: Expr, first: Expr, count: int) -> None:
        """Transform the input patches of the tiles in `count` channel blocks."""
        f, size = self.f, self.scheme.size
        edge = f.scratch("edge", (size * size * self.shape.block,), "float32")
        top, left = (before for before, _ in self.shape.pads)
        with f.serial(count, "icb", first) as icb, f.serial(self.point.tiles, "t") as t:
            image, ty, tx = self._tile(start + t)
            y = f.let(ty * self.point.m - top, "y")
            x = f.let(tx * self.point.m - left, "x")
            height, width = self.shape.spatial
            plane = image * self.shape.ic_blocks + icb
            base = f.let(((plane * height + y) * width + x) * self.shape.block, "base")
            to = f.let(patches.at(icb, t), "to")
            inside = tirx.all(y >= 0, y + size <= height, x >= 0, x + size <= width)
            with f.when(inside):
                self._patch(self.data, base, width, patches, to)
            with f.otherwise():
                self._edge(edge, base, y, x)
                self._patch(edge, 0, size, patches, to)

    def _tile(self, number: Expr) -> tuple[Expr, Expr, Expr]:
        """Image, row and column of a tile."""
        high, wide = tiles_of(self.shape, self.point.m)
        tile = self.f.let(number, "tile")
        return (
            tirx.floordiv(tile, high * wide),
            tirx.floormod(tirx.floordiv(tile, wide), high),
            tirx.floormod(tile, wide),
        )

    def _edge(self, edge: Buffer, base: Expr, y: Expr, x: Expr) -> None:
        """Copy a patch that is partly outside the input, with zeros there."""
        f, size, b = self.f, self.scheme.size, self.shape.block
        height, width = self.shape.spatial
        with f.serial(size, "i") as i, f.serial(size, "j") as j:
            to = (i * size + j) * b
            inside = tirx.all(y + i >= 0, y + i < height, x + j >= 0, x + j < width)
            with f.when(inside):
                value = load_flat(self.data, base + (i * width + j) * b, b)
                f.store(edge, value, (to,), b)
            with f.otherwise():
                f.store(edge, zeros(b), (to,), b)

    def _patch(self, source: Buffer, base: Expr, width: int, patches: Patches, to: Expr) -> None:
        """Transform one patch; `width` is how many pixels its rows are apart."""
        size, b = self.scheme.size, self.shape.block
        a = Arithmetic(self.f, b)
        rows = [
            [a.name(load_flat(source, base + (i * width + j) * b, b)) for j in range(size)]
            for i in range(size)
        ]
        found = transform_2d(transform_data, self.scheme, a, rows)
        for plane, value in enumerate(v for row in found for v in row):
            self.f.store(patches.buffer, value, (to + patches.plane(plane),), b)

    def groups(self, patches: Patches, start: Expr, first: Expr, count: int) -> None:
        """Products and results of `count` groups of output channels."""
        panels = Panels.make(self.f, self.shape, self.point)
        with self.f.serial(count, "group", first) as group:
            self._products(patches, panels, group)
            self._results(panels, start, group)

    def _products(self, patches: Patches, panels: Panels, group: Expr) -> None:
        """Multiply patches and weights of a group of output channels, chunk by chunk."""
        f, point, blocks = self.f, self.point, self.shape.ic_blocks
        chunks, b, lanes = (
            -(-blocks // point.chunk),
            self.shape.block,
            point.blocks * self.shape.block,
        )
        with f.serial(chunks, "chunk") as chunk:
            first = f.let(chunk * point.chunk, "first")
            count = tirx.min(point.chunk, blocks - first) if blocks % point.chunk else point.chunk
            with f.serial(self.scheme.size, "point_row") as row:
                for number in range(self.scheme.size):
                    with f.when(row == number):
                        self._weights(panels, number, group, first, count)
                after = (group * blocks + first + count) * (TAPS**2 * lanes * b)
                ahead = Ahead(self.weight, f.let(after, "after"), TAPS**2 * lanes * b * point.chunk)
                Product(f, self.shape, point, patches, panels, row, first, count, ahead).emit()

    def _weights(self, panels: Panels, row: int, group: Expr, first: Expr, count: Expr) -> None:
        """Row `row` of the transformed weights of `count` blocks of input channels."""
        f, b, blocks = self.f, self.shape.block, self.point.blocks
        a, lanes = Arithmetic(f, b), blocks * b
        with f.serial(count, "icb") as icb, f.serial(b, "ic") as ic, f.serial(blocks, "j") as j:
            channel = (group * self.shape.ic_blocks + first + icb) * b + ic
            base = f.let(channel * (TAPS**2 * lanes) + j * b, "base")

            def load(tap: int, base: Expr = base) -> Expr:
                return a.name(load_flat(self.weight, base + tap * lanes, b))

            taps = [[load(TAPS * i + k) for k in range(TAPS)] for i in range(TAPS)]
            to = f.let(panels.weight(icb * b + ic) + j * b, "to")
            for column, value in enumerate(weight_row(self.scheme, a, row, taps)):
                at = to + panels.weight_plane(column)
                f.store(panels.weights, value, (at,), b)

    def _results(self, panels: Panels, start: Expr, group: Expr) -> None:
        """Transform the products of a group of channels and store them."""
        f, b, blocks, size = self.f, self.shape.block, self.point.blocks, self.scheme.size
        a = Arithmetic(f, b)
        with f.serial(blocks, "j") as j, f.serial(self.point.tiles, "t") as t:
            image, ty, tx = self._tile(start + t)
            y, x = f.let(ty * self.point.m, "y"), f.let(tx * self.point.m, "x")
            base = f.let((t * blocks + j) * b, "base")

            def product(plane: int, base: Expr = base) -> Expr:
                at = base + panels.product_plane(plane)
                return a.name(load_flat(panels.products, at, b))

            rows = [[product(i * size + k) for k in range(size)] for i in range(size)]
            found = transform_2d(transform_product, self.scheme, a, rows)
            index = (image, group * blocks + j)
            self._store(found, index, y, x)

    def _store(
        self,
        found: list[list[Expr]],
        index: tuple[Expr, Expr],
        y: Expr,
        x: Expr,
    ) -> None:
        """Send a tile through the epilogue; what lies beyond the output is left out."""
        f, m, b = self.f, self.point.m, self.shape.block
        acc: Registers = f.registers("y", m * m, b, "float32")
        for number, value in enumerate(v for row in found for v in row):
            acc.store(number, value)
        high, wide = self.shape.out_spatial

        def store(i: int, j: int) -> None:
            with f.vectorized(b) as lane:
                at = (*index, y + i, x + j, lane)
                f.store(
                    self.out,
                    self.epilogue.apply(acc.element(i * m + j, lane), at, self.operands),
                    at,
                )

        for i in range(m):
            for j in range(m):
                if high % m == 0 and wide % m == 0:
                    store(i, j)
                else:
                    with f.when(tirx.all(y + i < high, x + j < wide)):
                        store(i, j)
