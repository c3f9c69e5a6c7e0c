"""Register tiles: the accumulators of (rows x cols) output pixels by `blocks` channel blocks.

A tile keeps rows * cols * blocks vectors of one channel block each in registers over the whole
reduction. The reduction walks input-channel blocks, kernel rows, kernel columns and the channels
within a block; a step loads `blocks` weight vectors and multiplies each with one input element a
pixel (Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD
Architectures", 2018, section II).

Padding costs nothing: kernel rows outside the input are skipped at run time, and a tile at the
left or right edge is generated without the multiplications that would meet padding.
"""

from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.window import Taps, Window, row_taps
from codesign.targets.tvm.tir import (
    Buffer,
    Expr,
    Function,
    Registers,
    load_flat,
    multiply_add,
    splat,
)

LINE = 16  # float32 elements in a cache line


@dataclass(frozen=True)
class Tile:
    """A register tile: output rows x columns x channel blocks of `lanes` channels."""

    rows: int
    cols: int
    blocks: int
    lanes: int

    def register(self, row: int, col: int, block: int) -> int:
        """Number of one accumulator vector."""
        return (row * self.cols + col) * self.blocks + block

    @property
    def size(self) -> int:
        """Number of accumulator vectors."""
        return self.rows * self.cols * self.blocks


def registers(isa: Isa, block: int, pixels: int, blocks: int, depth: int) -> int:
    """Vector registers that a tile needs: accumulators, weights, one input, products if unfused.

    With a depth of 1, LLVM keeps the inputs that neighbouring taps share: one more a pixel.
    """
    vectors = block // isa.f32_lanes
    fused = isa.vector_bits > 128 or isa.triple.startswith("aarch64")
    shared = pixels if depth == 1 else 0
    return (pixels + 1) * blocks * vectors + (1 if fused else 4) + shared


@dataclass(frozen=True)
class Reduction:
    """What a tile reduces over and where it finds it.

    `data` is [N, blocks, H, W, depth], or [N, C, H, W] if depth is 1; `weight` is [tiles,
    blocks, kh, kw, depth, lanes of a tile]. A group reads `channels` channels in blocks of
    `depth`. `image`, `first_block` and `weight_tile` select this task's part. H and W are the
    sizes of the two windows, whatever the buffer's shape says. Weights are prefetched `ahead`
    steps, if it is not 0.
    """

    data: Buffer
    weight: Buffer
    image: Expr
    first_block: Expr
    weight_tile: Expr
    channels: int
    depth: int
    vertical: Window
    horizontal: Window
    ahead: int

    def data_offset(self, icb: Expr, ky: Expr, kx: Expr, y: Expr, x: Expr) -> Expr:
        """Linear offset of the input that tap (ky, kx) of output (y, x) meets."""
        v, h = self.vertical, self.horizontal
        iy = y * v.stride - v.before + ky * v.dilation
        ix = x * h.stride - h.before + kx * h.dilation
        plane = self.image * self.data.shape[1] + self.first_block + icb
        return ((plane * v.size + iy) * h.size + ix) * self.depth

    def pixel_offset(self, row: int, col: int) -> int:
        """How far the input of output (row, col) lies behind that of output (0, 0)."""
        v, h = self.vertical, self.horizontal
        return (row * v.stride * h.size + col * h.stride) * self.depth

    def weight_offset(self, icb: Expr, ky: Expr, kx: Expr, lanes: int) -> Expr:
        """Linear offset of the weights of a tap; `lanes` are those of the whole tile."""
        v, h = self.vertical, self.horizontal
        block = self.weight_tile * -(-self.channels // self.depth) + icb
        return ((block * v.kernel + ky) * h.kernel + kx) * self.depth * lanes


@dataclass(frozen=True)
class Accumulation:
    """The reduction of the tile whose first output is (y, x), while it is being emitted."""

    f: Function
    tile: Tile
    taps: tuple[Taps, ...]
    y: Expr
    x: Expr
    reduction: Reduction

    def emit(self) -> Registers:
        """Emit it; returns the accumulators."""
        f, tile, r = self.f, self.tile, self.reduction
        acc = f.registers("acc", tile.size, tile.lanes, "float32")
        acc.clear()
        with f.serial(-(-r.channels // r.depth), "icb") as icb:
            if tile.rows == 1 or not r.vertical.padded:
                self._uniform_rows(acc, icb)
            else:
                self._ragged_rows(acc, icb)
        return acc

    def _uniform_rows(self, acc: Registers, icb: Expr) -> None:
        """All rows of the tile use the same kernel rows: a loop over those inside the input."""
        first, count = row_taps(self.reduction.vertical, self.y)
        with self.f.serial(count, "ky", first) as ky:
            self._kernel_row(acc, range(self.tile.rows), icb, ky)

    def _ragged_rows(self, acc: Registers, icb: Expr) -> None:
        """Kernel rows that all tile rows share run together, the others row by row."""
        f, v, rows = self.f, self.reduction.vertical, self.tile.rows
        with f.serial(v.kernel, "ky") as ky:
            top = self.y * v.stride - v.before + ky * v.dilation
            with f.when(tirx.all(top >= 0, top + (rows - 1) * v.stride < v.size)):
                self._kernel_row(acc, range(rows), icb, ky)
            with f.otherwise():
                for row in range(rows):
                    here = top + row * v.stride
                    with f.when(tirx.all(here >= 0, here < v.size)):
                        self._kernel_row(acc, range(row, row + 1), icb, ky)

    def _kernel_row(self, acc: Registers, rows: range, icb: Expr, ky: Expr) -> None:
        for run in self.taps:
            if run.count == 1:
                self._depth(acc, rows, run, (icb, ky, run.first))
                continue
            with self.f.serial(run.count, "kx", run.first) as kx:
                self._depth(acc, rows, run, (icb, ky, kx))

    def _depth(self, acc: Registers, rows: range, run: Taps, at: tuple[Expr, Expr, Expr]) -> None:
        r = self.reduction
        extent: Expr = r.depth
        if r.channels % r.depth:
            extent = tirx.min(r.depth, r.channels - at[0] * r.depth)
        f, tile, step = self.f, self.tile, self.tile.blocks * self.tile.lanes
        pixels = f.let(r.data_offset(*at, self.y, self.x), "pixels")
        start = f.let(r.weight_offset(*at, step), "start")
        with f.serial(extent, "ic") as ic:
            weights = self._weights(start + ic * step)
            for row in rows:
                for col in range(run.low, run.high):
                    value = load_flat(r.data, pixels + ic + r.pixel_offset(row, col))
                    self._step(acc, tile.register(row, col, 0), splat(value, tile.lanes), weights)

    def _weights(self, offset: Expr) -> list[Expr]:
        r, lanes = self.reduction, self.tile.lanes
        step = self.tile.blocks * lanes
        for line in range(0, step if r.ahead else 0, LINE):
            self.f.prefetch(r.weight, offset + (r.ahead * step + line))
        return [load_flat(r.weight, offset + i * lanes, lanes) for i in range(self.tile.blocks)]

    def _step(self, acc: Registers, register: int, value: Expr, weights: list[Expr]) -> None:
        for number, weight in enumerate(weights, register):
            acc.store(number, multiply_add(value, weight, acc.load(number)))
