"""The matrix products between Winograd's transforms: one for each point, in register tiles."""

from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.window import split
from codesign.targets.tvm.kernels.winograd import Scheme
from codesign.targets.tvm.kernels.winograd_schedule import Point
from codesign.targets.tvm.tir import (
    Buffer,
    Expr,
    Function,
    Registers,
    load_flat,
    multiply_add,
    splat,
)


@dataclass(frozen=True)
class Product:
    """products[tiles, lanes] (+)= patches[tiles, chunk] x weights[chunk, lanes], for each plane.

    `buffers` and `steps` are those of patches, weights and products, as in `conv_winograd.Scratch`;
    the chunk is `count` blocks of input channels from `first` on. The first one overwrites.
    """

    f: Function
    shape: ConvShape
    point: Point
    buffers: tuple[Buffer, Buffer, Buffer]
    steps: tuple[int, int, int]
    first: Expr
    count: Expr

    def emit(self) -> None:
        """Emit all planes."""
        f = self.f
        heights = split(self.point.tiles, self.point.rows)
        with f.serial(Scheme(self.point.m).size ** 2, "plane") as plane:
            begin = 0
            for rows in dict.fromkeys(heights):
                tiles = heights.count(rows)
                with f.serial(tiles, "row_tile") as tile:
                    self._tile(plane, begin + tile * rows, rows)
                begin += rows * tiles

    def _tile(self, plane: Expr, row: Expr, rows: int) -> None:
        """`rows` rows by all lanes."""
        f, b, blocks = self.f, self.shape.block, self.point.blocks
        acc = f.registers("acc", rows * blocks, b, "float32")
        base = f.let(plane * self.steps[2] + row * (blocks * b), "base")
        self._load(acc, base)
        with f.serial(self.count, "icb") as icb:
            data = f.let(self._patches(plane, icb, row), "data")
            start = f.let(plane * self.steps[1] + icb * (b * b * blocks), "start")
            with f.serial(self._extent(icb), "ic") as ic:
                self._step(acc, rows, data + ic, start + ic * (b * blocks))
        for number in range(rows * blocks):
            f.store(self.buffers[2], acc.load(number), (base + number * b,), b)

    def _load(self, acc: Registers, base: Expr) -> None:
        """Start from zero in the first chunk, from what is there in later ones."""
        if self.shape.ic_blocks <= self.point.chunk:
            acc.clear()
            return
        with self.f.when(self.first == 0):
            acc.clear()
        with self.f.otherwise():
            for number in range(len(acc.buffers)):
                offset = base + number * acc.lanes
                acc.store(number, load_flat(self.buffers[2], offset, acc.lanes))

    def _patches(self, plane: Expr, icb: Expr, row: Expr) -> Expr:
        """Linear offset of the first element of a row."""
        rows = (self.first + icb) * self.point.tiles + row
        return plane * self.steps[0] + rows * self.shape.block

    def _extent(self, icb: Expr) -> Expr:
        """Channels of a block: fewer in the last one."""
        b, ic = self.shape.block, self.shape.ic
        return tirx.min(b, ic - (self.first + icb) * b) if ic % b else b

    def _step(self, acc: Registers, rows: int, data: Expr, start: Expr) -> None:
        patches, weights, _ = self.buffers
        b, blocks = self.shape.block, self.point.blocks
        loaded = [load_flat(weights, start + j * b, b) for j in range(blocks)]
        for row in range(rows):
            value = splat(load_flat(patches, data + row * b), b)
            for j, weight in enumerate(loaded):
                number = row * blocks + j
                acc.store(number, multiply_add(value, weight, acc.load(number)))
