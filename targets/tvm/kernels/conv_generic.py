"""Any convolution or transposed convolution over 1 to 3 axes, in the plain layout.

Input [N, IC, spatial...], output [N, OC, spatial...], float32. For what the blocked kernels
refuse: slower than they are, but parallel and vectorized. A task makes one output row of a few
channels; each tap adds a scaled stretch of an input row to it. A transposed row is kept as one
row for each phase (output position modulo stride), so that its stretches are contiguous too.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Function, PrimFunc, load, multiply_add, splat, zeros


@dataclass(frozen=True)
class Point:
    """A schedule: `channels` output channels share each load of the input."""

    channels: int


@dataclass(frozen=True)
class Stretch:
    """What one tap of the last axis does: out[phase][low + i] += w * in[first + i * step]."""

    tap: int
    phase: int
    low: int
    length: int
    first: int
    step: int


def accepts(shape: ConvShape) -> bool:
    """Whether the shape has 1 to 3 spatial axes."""
    return 1 <= len(shape.spatial) <= 3


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every divisor of a group's output channels up to 8."""
    return [Point(c) for c in range(1, 9) if shape.group_oc % c == 0]


def default(shape: ConvShape, isa: Isa) -> Point:
    """As many channels as possible."""
    return space(shape, isa)[-1]


def stretches(shape: ConvShape) -> list[Stretch]:
    """The taps of the last axis that touch the input, with the constant ranges they cover."""
    return [s for tap in range(shape.kernel[-1]) for s in [_stretch(shape, tap)] if s.length > 0]


def _stretch(shape: ConvShape, tap: int) -> Stretch:
    size, out, stride = shape.spatial[-1], shape.out_spatial[-1], shape.strides[-1]
    shift = tap * shape.dilations[-1] - shape.pads[-1][0]
    if shape.transposed:  # x = i * stride + shift = j * stride + phase
        phase, jump = shift % stride, shift // stride
        low, high = max(0, jump), min(-(-(out - phase) // stride), size + jump)
        return Stretch(tap, phase, low, high - low, low - jump, 1)
    low, high = max(0, -(shift // stride)), min(out, -((shift - size) // stride))
    return Stretch(tap, 0, low, high - low, low * stride + shift, stride)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_generic", shape, "1 to 3 spatial axes")
    f = Function(name)
    data = f.argument("data", shape.plain_input, "float32")
    weight = f.argument("weight", _packed(shape, point), "float32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.plain_output, epilogue.out_dtype)
    rows, tiles = shape.out_spatial[:-1], shape.oc // point.channels
    with f.parallel(shape.n * tiles * prod(rows), "task") as task:
        *at, tile = _unravel(f, task, (shape.n, *rows, tiles))
        row = _Row(f, shape, point, isa.f32_lanes, data, weight, at[0], at[1:], tile)
        acc = row.reduce()
        _store(row, acc, epilogue, operands, out)
    return f.build()


def _unravel(f: Function, flat: Expr, sizes: Sequence[int]) -> list[Expr]:
    found: list[Expr] = []
    for size in reversed(sizes):
        found.append(f.let(tirx.floormod(flat, size)))
        flat = f.let(tirx.floordiv(flat, size))
    return found[::-1]


@dataclass(frozen=True)
class _Row:
    """One task: the output row at `outer` of image `image`, channels tile * channels + ..."""

    f: Function
    shape: ConvShape
    point: Point
    lanes: int
    data: Buffer
    weight: Buffer
    image: Expr
    outer: list[Expr]
    tile: Expr

    @property
    def phases(self) -> int:
        return self.shape.strides[-1] if self.shape.transposed else 1

    @property
    def phase_length(self) -> int:
        return -(-self.shape.out_spatial[-1] // self.phases)

    def reduce(self) -> Buffer:
        """Emit the reduction into a scratch buffer [channels, phases, length of a phase]."""
        f, size = self.f, self.phases * self.phase_length
        acc = f.local("acc", (self.point.channels * size,), "float32")
        with f.serial(self.point.channels * size, "clear") as i:
            f.store(acc, zeros(1), (i,))
        tiles_per_group = self.shape.group_oc // self.point.channels
        first = tirx.floordiv(self.tile, tiles_per_group) * self.shape.group_ic
        with f.serial(self.shape.group_ic, "ic") as ic, ExitStack() as loops:
            taps: list[Expr] = []
            source: list[Expr] = []
            for axis in range(len(self.outer)):
                tap, position = self._outer_tap(loops, axis)
                taps.append(tap)
                source.append(position)
            for stretch in stretches(self.shape):
                self._add(acc, stretch, (self.image, first + ic, *source), (ic, *taps))
        return acc

    def _outer_tap(self, loops: ExitStack, axis: int) -> tuple[Expr, Expr]:
        """Open the loop over the taps of an outer axis that lie inside the input."""
        f, s = self.f, self.shape
        tap = loops.enter_context(f.serial(s.kernel[axis], "tap"))
        reach = tap * s.dilations[axis] - s.pads[axis][0]
        if not s.transposed:
            at = f.let(self.outer[axis] * s.strides[axis] + reach)
            loops.enter_context(f.when(tirx.all(at >= 0, at < s.spatial[axis])))
            return tap, at
        ahead = f.let(self.outer[axis] - reach)
        at = f.let(tirx.floordiv(ahead, s.strides[axis]))
        on_grid = tirx.floormod(ahead, s.strides[axis]) == 0
        loops.enter_context(f.when(tirx.all(on_grid, at >= 0, at < s.spatial[axis])))
        return tap, at

    def _add(
        self, acc: Buffer, s: Stretch, source: tuple[Expr, ...], taps: tuple[Expr, ...]
    ) -> None:
        full, rest = divmod(s.length, self.lanes)
        if full:
            with self.f.serial(full, "chunk") as c:
                self._chunk(acc, s, source, taps, c * self.lanes, self.lanes)
        if rest:
            self._chunk(acc, s, source, taps, full * self.lanes, rest)

    def _chunk(
        self,
        acc: Buffer,
        s: Stretch,
        source: tuple[Expr, ...],
        taps: tuple[Expr, ...],
        start: Expr,
        lanes: int,
    ) -> None:
        value = load(self.data, (*source, s.first + start * s.step), lanes, s.step)
        for channel in range(self.point.channels):
            factor = splat(load(self.weight, (self.tile, *taps, s.tap, channel)), lanes)
            row = (channel * self.phases + s.phase) * self.phase_length
            at = (row + s.low + start,)
            self.f.store(acc, multiply_add(factor, value, load(acc, at, lanes)), at, lanes)


def _store(
    row: _Row, acc: Buffer, epilogue: Epilogue, operands: tuple[Buffer, ...], out: Buffer
) -> None:
    for channel in range(row.point.channels):
        for phase in range(row.phases):
            count = -(-(row.shape.out_spatial[-1] - phase) // row.phases)
            start = (channel * row.phases + phase) * row.phase_length
            with row.f.serial(count, "x") as x:
                oc = row.tile * row.point.channels + channel
                index = (row.image, oc, *row.outer, x * row.phases + phase)
                value = epilogue.apply(load(acc, (start + x,)), index, operands)
                row.f.store(out, value, index)


def _packed(shape: ConvShape, point: Point) -> tuple[int, ...]:
    return (shape.oc // point.channels, shape.group_ic, *shape.kernel, point.channels)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [OC, IC/g, k...] or, transposed, [IC, OC/g, k...]: [OC tiles, IC/g, k..., channels]."""
    if shape.transposed:
        parts = w.reshape(shape.groups, shape.group_ic, shape.group_oc, *shape.kernel)
        w = parts.swapaxes(1, 2).reshape(shape.oc, shape.group_ic, *shape.kernel)
    tiles = w.reshape(shape.oc // point.channels, point.channels, *w.shape[1:])
    return np.ascontiguousarray(np.moveaxis(tiles, 1, -1), np.float32)
