"""The matrix products between Winograd's transforms: one for each point, in register tiles."""

from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.tile import LINE
from codesign.targets.tvm.kernels.winograd import Scheme
from codesign.targets.tvm.kernels.winograd_schedule import Point
from codesign.targets.tvm.kernels.winograd_scratch import Panels, Patches, run_of
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
class Ahead:
    """What to ask memory for meanwhile: `size` elements of `buffer` from offset `start` on."""

    buffer: Buffer
    start: Expr
    size: int


@dataclass(frozen=True)
class Product:
    """products[tiles, lanes] (+)= patches[tiles, chunk] x weights[chunk, lanes], for each plane.

    Planes are those of row `point_row` of the points. The chunk is `count` blocks of input channels
    from `first` on; the first one overwrites.
    """

    f: Function
    shape: ConvShape
    point: Point
    patches: Patches
    panels: Panels
    point_row: Expr
    first: Expr
    count: Expr
    ahead: Ahead

    def emit(self) -> None:
        """Emit all planes; the last register tile may have fewer rows."""
        f, rows = self.f, self.point.rows
        whole, rest = divmod(self.point.tiles, rows)
        size = Scheme(self.point.m).size
        with f.serial(size, "column") as column:
            with f.serial(whole, "row_tile") as tile:
                self._tile(column, tile * rows, rows)
            if rest:
                self._tile(column, whole * rows, rest)

    def _tile(self, column: Expr, row: Expr, rows: int) -> None:
        """`rows` rows from `row` on by all lanes."""
        plane = self.point_row * Scheme(self.point.m).size + column
        f, b, blocks = self.f, self.shape.block, self.point.blocks
        run = run_of(self.shape, self.point)
        acc = f.registers("acc", rows * blocks, b, "float32")
        base = f.let(self.panels.product_plane(plane) + row * (blocks * b), "base")
        self._prefetch(plane, row // self.point.rows)
        self._load(acc, base)
        with f.serial(self.count, "icb") as icb, f.serial(b // run, "part") as part:
            patch = self.patches.at(self.first + icb, row) + self.patches.plane(plane)
            data = f.let(patch + part * run, "data")
            weight = self.panels.weight(icb * b + part * run) + self.panels.weight_plane(column)
            start = f.let(weight, "start")
            with f.serial(self._extent(icb, part * run, run), "ic") as ic:
                self._step(acc, rows, data + ic, start + ic * (b * blocks))
        for number in range(rows * blocks):
            f.store(self.panels.products, acc.load(number), (base + number * b,), b)

    def _prefetch(self, plane: Expr, tile: Expr) -> None:
        """This register tile's part of what is to be asked for."""
        tiles = -(-self.point.tiles // self.point.rows)
        lines = -(-self.ahead.size // (Scheme(self.point.m).size ** 2 * tiles * LINE))
        start = self.f.let(self.ahead.start + (plane * tiles + tile) * (lines * LINE), "ahead")
        with self.f.serial(lines, "line") as line:
            self.f.prefetch(self.ahead.buffer, start + line * LINE)

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
                acc.store(number, load_flat(self.panels.products, offset, acc.lanes))

    def _extent(self, icb: Expr, offset: Expr, run: int) -> Expr:
        """Channels of a run that begins at `offset` of a block: fewer in the last block."""
        b, ic = self.shape.block, self.shape.ic
        if ic % b == 0:
            return run
        return tirx.max(0, tirx.min(run, ic - (self.first + icb) * b - offset))

    def _step(self, acc: Registers, rows: int, data: Expr, start: Expr) -> None:
        b, blocks = self.shape.block, self.point.blocks
        loaded = [load_flat(self.panels.weights, start + j * b, b) for j in range(blocks)]
        for row in range(rows):
            value = splat(load_flat(self.patches.buffer, data + row * b), b)
            for j, weight in enumerate(loaded):
                number = row * blocks + j
                acc.store(number, multiply_add(value, weight, acc.load(number)))
