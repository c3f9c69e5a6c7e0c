"""Register tiles: the accumulators of (rows x cols) output pixels by `blocks` channel blocks.

A tile keeps rows * cols * blocks vectors of one channel block each in registers over the whole
reduction. The reduction walks input-channel blocks, kernel rows, kernel columns and the channels
within a block; a step loads `blocks` weight vectors and multiplies each with one input element a
pixel (Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD
Architectures", 2018, section II).

Padding costs nothing: kernel rows outside the input are skipped at run time, and a tile at the
left or right edge is generated without the multiplications that would meet padding.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.window import Taps, Window, row_taps
from codesign.targets.tvm.tir import Buffer, Expr, Function, Registers, load, multiply_add, splat

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
    """Vector registers that a tile needs: accumulators, weights, one input and one product.

    With a depth of 1, LLVM keeps the inputs that neighbouring taps share: one more a pixel.
    """
    vectors = block // isa.f32_lanes
    fused = isa.vector_bits > 128 or isa.triple.startswith("aarch64")
    shared = pixels if depth == 1 else 0
    return (pixels + 1) * blocks * vectors + (1 if fused else 2) + shared


@dataclass(frozen=True)
class Reduction:
    """What a tile reduces over and where it finds it.

    `data` is [N, blocks, H, W, depth], or [N, C, H, W] if depth is 1; `weight` is [tiles,
    blocks, kh, kw, depth, lanes of a tile]. A group reads `channels` channels in blocks of
    `depth`. `image`, `first_block` and `weight_tile` select this task's part; `locate` maps an
    input (y, x) to indices of `data`. Weights are prefetched `ahead` steps, if it is not 0.
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
    locate: Callable[[Expr, Expr], tuple[Expr, Expr]]
    ahead: int


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
        with self.f.serial(extent, "ic") as ic:
            self._prefetch((*at, ic))
            weights = self._weights((*at, ic))
            for row in rows:
                for col in range(run.low, run.high):
                    value = splat(self._input(row, col, (*at, ic)), self.tile.lanes)
                    self._step(acc, self.tile.register(row, col, 0), value, weights)

    def _prefetch(self, at: tuple[Expr, ...]) -> None:
        r, lanes = self.reduction, self.tile.lanes
        for line in range(0, self.tile.blocks * lanes if r.ahead else 0, LINE):
            self.f.prefetch(r.weight, (r.weight_tile, *at[:-1], at[-1] + r.ahead, line))

    def _weights(self, at: tuple[Expr, ...]) -> list[Expr]:
        r, lanes = self.reduction, self.tile.lanes
        return [
            load(r.weight, (r.weight_tile, *at, block * lanes), lanes)
            for block in range(self.tile.blocks)
        ]

    def _input(self, row: int, col: int, at: tuple[Expr, ...]) -> Expr:
        r, (icb, ky, kx, ic) = self.reduction, at
        v, h = r.vertical, r.horizontal
        iy = (self.y + row) * v.stride - v.before + ky * v.dilation
        ix = (self.x + col) * h.stride - h.before + kx * h.dilation
        at = (r.image, r.first_block + icb, *r.locate(iy, ix), ic)
        return load(r.data, at if r.depth > 1 else at[:-1])

    def _step(self, acc: Registers, register: int, value: Expr, weights: list[Expr]) -> None:
        for number, weight in enumerate(weights, register):
            acc.store(number, multiply_add(value, weight, acc.load(number)))
