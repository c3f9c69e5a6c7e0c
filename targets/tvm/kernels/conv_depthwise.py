"""Depthwise convolution on the blocked layout: every channel has its own k x k kernel.

Input [N, ceil(C/b), H, W, b], output [N, ceil(C/b), OH, OW, b], float32, b = shape.block. A lane
is a channel; a tile of output columns stays in registers while the kernel rows inside the input
pass, each input vector being loaded once a kernel row for all the taps that use it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.sink import Sink
from codesign.targets.tvm.kernels.window import Columns, Window, columns, row_taps, split, windows
from codesign.targets.tvm.tir import Function, PrimFunc, load_flat, multiply_add


@dataclass(frozen=True)
class Point:
    """A schedule: `cols` output columns in registers, `rows` output rows in a task."""

    cols: int
    rows: int


def accepts(shape: ConvShape) -> bool:
    """Whether the shape is a 2d convolution with one input and output channel a group."""
    return len(shape.spatial) == 2 and not shape.transposed and shape.groups == shape.ic == shape.oc


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every schedule that fits the registers of `isa`."""
    widest = _widest(shape, isa)
    widths = sorted({split(shape.out_spatial[1], most)[0] for most in range(1, widest + 1)})
    return [Point(cols, rows) for cols in widths for rows in _bands(shape)]


def default(shape: ConvShape, isa: Isa) -> Point:
    """The widest tile up to 14 columns; as many rows as leave 8 tasks for threads to share."""
    cols = split(shape.out_spatial[1], min(14, _widest(shape, isa)))[0]
    planes, rows = shape.n * shape.ic_blocks, shape.out_spatial[0]
    fair = [band for band in _bands(shape) if planes * -(-rows // band) >= 8]
    return Point(cols, fair[-1] if fair else 1)


def _bands(shape: ConvShape) -> list[int]:
    rows = shape.out_spatial[0]
    return [*(1 << i for i in range(rows.bit_length()) if 1 << i < rows), rows]


def _widest(shape: ConvShape, isa: Isa) -> int:
    """Columns that fit beside one kernel row and one input vector."""
    vectors = shape.block // isa.f32_lanes
    return max(1, (isa.registers // vectors) - min(shape.kernel[1], 5) - 1)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_depthwise", shape, "2 axes and one channel a group")
    f = Function(name)
    data = f.argument("data", shape.blocked_input, "float32")
    weight = f.argument("weight", (shape.ic_blocks, *shape.kernel, shape.block), "float32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.blocked_output, epilogue.out_dtype)
    bands = -(-shape.out_spatial[0] // point.rows)
    with f.parallel(shape.n * shape.ic_blocks * bands, "task") as task:
        band = f.let(tirx.floormod(task, bands), "band")
        block = f.let(tirx.floormod(tirx.floordiv(task, bands), shape.ic_blocks), "block")
        image = f.let(tirx.floordiv(task, bands * shape.ic_blocks), "image")
        sink = Sink(f, epilogue, operands, out)
        _band(Rows(f, shape, data, weight, sink, image, block), band, point)
    return f.build()


def _band(rows: "Rows", band: Expr, point: Point) -> None:
    """One task: a band of rows of one channel block."""
    out = rows.shape.out_spatial[0]
    count: Expr = point.rows
    if out % point.rows:
        count = tirx.min(point.rows, out - band * point.rows)
    rows.emit(band * point.rows, count, point.cols)


@dataclass(frozen=True)
class Rows:
    """Output rows of one channel block.

    With `ring`, the data are not the whole input: of each block of one image they hold `ring` rows,
    row y of the input at y % ring.
    """

    f: Function
    shape: ConvShape
    data: Buffer
    weight: Buffer
    sink: Sink
    image: Expr
    block: Expr
    ring: int = 0

    def emit(self, first: Expr, count: Expr, cols: int) -> None:
        """`count` rows from `first` on, in tiles of at most `cols` columns."""
        vertical, horizontal = windows(self.shape)
        with self.f.serial(count, "y", first) as y:
            for run in columns(horizontal, cols):
                if run.count == 1:
                    self._tile(vertical, horizontal, run, y, run.start)
                    continue
                with self.f.serial(run.count, "col_tile") as c:
                    self._tile(vertical, horizontal, run, y, run.start + c * run.width)

    def _tile(self, v: Window, h: Window, run: Columns, y: Expr, x: Expr) -> None:
        f, lanes = self.f, self.shape.block
        acc = f.registers("acc", run.width, lanes, "float32")
        acc.clear()
        first, count = row_taps(v, y)
        with f.serial(count, "ky", first) as ky:
            pixels = f.let(self._offset(v, h, y, x, ky), "pixels")
            factors = f.let((self.block * v.kernel + ky) * h.kernel * lanes, "factors")
            for col, tap in _in_input_order(run, h):
                position = (col * h.stride + tap * h.dilation) * lanes
                value = load_flat(self.data, pixels + position, lanes)
                factor = load_flat(self.weight, factors + tap * lanes, lanes)
                acc.store(col, multiply_add(value, factor, acc.load(col)))
        for col in range(run.width):
            self.sink.store(acc, col, (self.image, self.block, y, x + col))

    def _offset(self, v: Window, h: Window, y: Expr, x: Expr, ky: Expr) -> Expr:
        """Linear offset of the input that tap (ky, 0) of output (y, x) meets."""
        iy = y * v.stride - v.before + ky * v.dilation
        row = (self.image * self.shape.ic_blocks + self.block) * v.size + iy
        if self.ring:
            row = self.block * self.ring + tirx.truncmod(iy, self.ring)
        return (row * h.size + x * h.stride - h.before) * self.shape.block


def _in_input_order(run: Columns, h: Window) -> list[tuple[int, int]]:
    """(column, tap) pairs of one kernel row, those that read the same input together."""
    pairs = [
        (col, tap)
        for taps in run.taps
        for tap in range(taps.first, taps.first + taps.count)
        for col in range(taps.low, taps.high)
    ]
    return sorted(pairs, key=lambda p: (p[0] * h.stride + p[1] * h.dilation, p[0]))


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [C, 1, kh, kw]: [C blocks, kh, kw, b]; zeros pad the last block."""
    full = np.zeros((shape.ic_blocks * shape.block, *shape.kernel), np.float32)
    full[: shape.ic] = w[:, 0]
    parts = full.reshape(shape.ic_blocks, shape.block, *shape.kernel)
    return np.ascontiguousarray(np.moveaxis(parts, 1, -1))
