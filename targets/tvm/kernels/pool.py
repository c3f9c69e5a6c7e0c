"""Pooling windows over one, two or three axes, on the blocked and on the plain layout.

A buffer is [planes..., *spatial, lanes]; blocked buffers carry a block of channels in the last
axis, plain ones are taken with vectors along the last spatial axis instead. Taps outside the input
are never visited, so padding costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.fold import Fold
from codesign.targets.tvm.kernels.window import Columns, Window, columns, row_taps
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, Registers, load

WIDTH = 6  # outputs that a blocked pool keeps in registers
WRITTEN_TAPS = 4  # taps of a row that are written out


@dataclass(frozen=True)
class PoolShape:
    """Two leading axes (samples, channels or channel blocks), windows, and `block` (1: plain).

    `divide`: the fold's count is the number of taps inside the input, not of all taps.
    """

    leading: tuple[int, int]
    windows: tuple[Window, ...]
    block: int
    dtype: str
    fold: Fold
    divide: bool

    @property
    def data(self) -> tuple[int, ...]:
        """Shape of the input buffer."""
        tail = (self.block,) if self.block > 1 else ()
        return (*self.leading, *(w.size for w in self.windows), *tail)

    @property
    def out(self) -> tuple[int, ...]:
        """Shape of the output buffer."""
        tail = (self.block,) if self.block > 1 else ()
        return (*self.leading, *(w.out for w in self.windows), *tail)


def emit(name: str, shape: PoolShape, isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are x, the epilogue's operands, the result."""
    f = Function(name)
    x = f.argument("x", shape.data, shape.dtype)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.out, epilogue.out_dtype)

    def finish(acc: Expr, count: Expr, index: tuple[Expr, ...]) -> None:
        f.store(out, epilogue.apply(shape.fold.leave(acc, count), index, operands), index)

    rows = (*shape.leading, *(w.out for w in shape.windows[:-1]))
    with f.parallel(prod(rows), "row") as row:
        index = unravel(row, rows)
        pool = _Pool(f, shape, isa, x, index[:2], index[2:], finish)
        if shape.block > 1:
            pool.blocked()
        else:
            pool.plain()
    return f.build()


@dataclass(frozen=True)
class _Pool:
    """One row of outputs: leading index, outer spatial index."""

    f: Function
    shape: PoolShape
    isa: Isa
    x: Buffer
    leading: tuple[Expr, ...]
    outer: tuple[Expr, ...]
    finish: Callable[[Expr, Expr, tuple[Expr, ...]], None]

    @property
    def last(self) -> Window:
        return self.shape.windows[-1]

    def outer_taps(self, body: Callable[[tuple[Expr, ...]], None]) -> Expr:
        """Emit body(outer input index) for the taps of all axes but the last; their number."""
        ranges = [row_taps(w, y) for w, y in zip(self.shape.windows[:-1], self.outer, strict=True)]

        def nest(found: tuple[Expr, ...]) -> None:
            depth = len(found)
            if depth == len(ranges):
                body(found)
                return
            first, count = ranges[depth]
            w, y = self.shape.windows[depth], self.outer[depth]
            with self.f.serial(count, "tap", first) as tap:
                nest((*found, y * w.stride - w.before + tap * w.dilation))

        nest(())
        return prod([count for _, count in ranges], start=1)

    def blocked(self) -> None:
        """Vectors of channels; a few outputs side by side."""
        for segment in columns(self.last, WIDTH):
            with self.f.serial(segment.count, "tile") as tile:
                self._tile(segment, segment.start + tile * segment.width)

    def _tile(self, segment: Columns, start: Expr) -> None:
        f, shape = self.f, self.shape
        dtype = Fold.carrier(shape.dtype)
        acc = f.registers("acc", segment.width, shape.block, dtype)
        for buffer in acc.buffers:
            with f.vectorized(shape.block) as lane:
                f.store(buffer, shape.fold.start(dtype), (lane,))
        outer = self.outer_taps(lambda place: self._row(segment, acc, place, start))
        for column, buffer in enumerate(acc.buffers):
            inside = sum(t.count for t in segment.taps if t.low <= column < t.high)
            count = self._count(outer, inside)
            with f.vectorized(shape.block) as lane:
                index = (*self.leading, *self.outer, start + column, lane)
                self.finish(load(buffer, (lane,)), count, index)

    def _row(self, segment: Columns, acc: Registers, place: tuple[Expr, ...], start: Expr) -> None:
        """Fold one input row into a tile; only wide windows loop over their taps."""
        for taps in segment.taps:
            columns_of = range(taps.low, taps.high)
            if taps.count > WRITTEN_TAPS:
                with self.f.serial(taps.count, "tap", taps.first) as tap:
                    for column in columns_of:
                        self._step(acc.buffers[column], place, start + column, tap)
                continue
            for number in range(taps.first, taps.first + taps.count):
                for column in columns_of:
                    self._step(acc.buffers[column], place, start + column, number)

    def _step(self, acc: Buffer, place: tuple[Expr, ...], column: Expr, tap: Expr) -> None:
        w = self.last
        at = column * w.stride - w.before + tap * w.dilation
        with self.f.vectorized(self.shape.block) as lane:
            x = load(self.x, (*self.leading, *place, at, lane)).astype(acc.dtype)
            self.f.store(acc, self.shape.fold.step(load(acc, (lane,)), x), (lane,))

    def _count(self, outer: Expr, inside: Expr) -> Expr:
        if not self.shape.divide:
            return prod(w.kernel for w in self.shape.windows)
        count = outer * inside
        return count if isinstance(count, int) else count.astype(Fold.carrier(self.shape.dtype))

    def plain(self) -> None:
        """Vectors along the last axis where no tap is outside, else one output at a time."""
        w, lanes = self.last, self.isa.f32_lanes
        low = min(w.out, -(-w.before // w.stride))
        high = (w.size - 1 - (w.kernel - 1) * w.dilation + w.before) // w.stride + 1
        high = max(low, min(w.out, high))
        whole = (high - low) // lanes
        if whole:
            with self.f.serial(whole, "vector") as vector:
                self._outputs(low + vector * lanes, lanes, (0, w.kernel))
        for start, end in ((0, low), (low + whole * lanes, w.out)):
            with self.f.serial(end - start, "x", start) as x:
                if end > start:
                    self._outputs(x, 1, row_taps(w, x))

    def _outputs(self, start: Expr, width: int, taps: tuple[Expr, Expr]) -> None:
        f, shape, w = self.f, self.shape, self.last
        dtype = Fold.carrier(shape.dtype)
        acc = f.local("acc", (width,), dtype)
        with f.vectorized(width) as lane:
            f.store(acc, shape.fold.start(dtype), (lane,))

        def visit(place: tuple[Expr, ...]) -> None:
            lanes = f.vectorized(width)
            with f.serial(taps[1], "tap", taps[0]) as tap, lanes as lane:
                at = (start + lane) * w.stride - w.before + tap * w.dilation
                x = load(self.x, (*self.leading, *place, at)).astype(dtype)
                f.store(acc, shape.fold.step(load(acc, (lane,)), x), (lane,))

        count = self._count(self.outer_taps(visit), taps[1])
        with f.vectorized(width) as lane:
            self.finish(load(acc, (lane,)), count, (*self.leading, *self.outer, start + lane))
