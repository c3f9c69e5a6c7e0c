"""Where the taps of a convolution meet the input: output tiles and the taps each one needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.tir import Expr


@dataclass(frozen=True)
class Window:
    """One spatial axis: input size, kernel size, stride, dilation, padding before, output size."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    out: int

    def valid(self, start: int, width: int, tap: int) -> tuple[int, int]:
        """The [low, high) of the outputs start..start+width whose `tap` lies inside the input."""
        inside = [
            i
            for i in range(width)
            if 0 <= (start + i) * self.stride - self.before + tap * self.dilation < self.size
        ]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    @property
    def padded(self) -> bool:
        """Whether any tap of any output lies outside the input."""
        last = (self.out - 1) * self.stride - self.before + (self.kernel - 1) * self.dilation
        return self.before > 0 or last >= self.size


@dataclass(frozen=True)
class Taps:
    """Consecutive taps first..first+count that are inside the input for outputs [low, high)."""

    first: int
    count: int
    low: int
    high: int


@dataclass(frozen=True)
class Columns:
    """`count` consecutive column tiles of one width that need the same taps."""

    start: int
    count: int
    width: int
    taps: tuple[Taps, ...]


def windows(shape: ConvShape) -> tuple[Window, ...]:
    """The spatial axes of a shape."""
    return tuple(
        Window(size, kernel, stride, dilation, pad[0], out)
        for size, kernel, stride, dilation, pad, out in zip(
            shape.spatial,
            shape.kernel,
            shape.strides,
            shape.dilations,
            shape.pads,
            shape.out_spatial,
            strict=True,
        )
    )


def split(size: int, most: int) -> list[int]:
    """Cut `size` into the fewest parts of at most `most`, as equal as they can be, larger first."""
    parts = -(-size // most)
    return [size // parts + (i < size % parts) for i in range(parts)]


def columns(window: Window, most: int) -> list[Columns]:
    """Cut the output columns into tiles and merge neighbours that can share their code."""
    tiles: list[Columns] = []
    start = 0
    for width in split(window.out, most):
        taps = tuple(_taps(window, start, width))
        last = tiles[-1] if tiles else None
        if last and (last.width, last.taps) == (width, taps):
            tiles[-1] = Columns(last.start, last.count + 1, width, taps)
        else:
            tiles.append(Columns(start, 1, width, taps))
        start += width
    return tiles


def _taps(window: Window, start: int, width: int) -> Iterator[Taps]:
    run: Taps | None = None
    for tap in range(window.kernel):
        low, high = window.valid(start, width, tap)
        if run and (run.low, run.high) == (low, high):
            run = Taps(run.first, run.count + 1, low, high)
            continue
        if run and run.high > run.low:
            yield run
        run = Taps(tap, 1, low, high)
    if run and run.high > run.low:
        yield run


def row_taps(v: Window, y: Expr) -> tuple[Expr, Expr]:
    """First and number of the taps that lie inside the input for output `y`, as expressions."""
    if not v.padded:
        return 0, v.kernel
    top = y * v.stride - v.before
    first = tirx.max(0, tirx.floordiv(v.dilation - 1 - top, v.dilation))
    end = tirx.min(v.kernel, tirx.floordiv(v.size - top + v.dilation - 1, v.dilation))
    return first, tirx.max(0, end - first)
