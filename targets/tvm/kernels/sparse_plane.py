"""How sparse kernels see a convolution: every weight column is a shift of one flat image.

The input is taken apart into the phases of the strides and surrounded with zeros, so that what tap
(i, j) of channel c reads for all output pixels is one stretch of memory with the pitch of the
output rows (as in Chellapilla et al., "High performance convolutional neural networks", 2006, but
without a copy a tap). A 1x1 convolution of stride 1 reads its input as it is.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from tvm import tirx

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.tir import Buffer, Expr, Function, load, load_flat, zeros


@dataclass(frozen=True)
class Axis:
    """One spatial axis: input size, kernel, stride, dilation, padding before, output size."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    out: int

    @property
    def phases(self) -> tuple[int, ...]:
        """The residues modulo the stride at which taps read."""
        return tuple(sorted({tap * self.dilation % self.stride for tap in range(self.kernel)}))

    @property
    def extent(self) -> int:
        """Elements of one phase that are read."""
        return self.out + (self.kernel - 1) * self.dilation // self.stride

    def source(self, phase: int) -> tuple[int, int, int]:
        """(low, high, first): phase elements [low, high) are inputs first, first + stride, ..."""
        shift = phase - self.before
        low = max(0, -(shift // self.stride))
        high = min(self.extent, -((shift - self.size) // self.stride))
        return low, max(low, high), low * self.stride + shift


@dataclass(frozen=True)
class Plane:
    """The flat image of one problem; `rows` x `columns` pixels a channel, `pitch` apart."""

    shape: ConvShape

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns; one-dimensional problems have one row."""
        s = self.shape
        lost = 2 - len(s.spatial)
        found = [Axis(1, 1, 1, 1, 0, 1)] * lost + [
            Axis(size, kernel, stride, dilation, pads[0], out)
            for size, kernel, stride, dilation, pads, out in zip(
                s.spatial, s.kernel, s.strides, s.dilations, s.pads, s.out_spatial, strict=True
            )
        ]
        return found[0], found[1]

    @property
    def copied(self) -> bool:
        """Whether the input must be rearranged."""
        s = self.shape
        return prod(s.kernel) * prod(s.strides) > 1 or any(map(any, s.pads))

    @property
    def phases(self) -> list[tuple[int, int]]:
        """The phases of rows and columns that are kept."""
        rows, columns = self.axes
        return [(r, c) for r in rows.phases for c in columns.phases]

    @property
    def pitch(self) -> int:
        """Elements from one output row to the next."""
        return self.axes[1].extent

    @property
    def channel(self) -> int:
        """Elements of one channel."""
        rows, columns = self.axes
        return len(self.phases) * rows.extent * columns.extent

    @property
    def pixels(self) -> tuple[int, int]:
        """(rows, columns) of the output, as one row where rows run into each other."""
        rows, columns = (axis.out for axis in self.axes)
        return (1, rows * columns) if columns == self.pitch else (rows, columns)

    def offsets(self) -> np.ndarray:
        """int64 [IC / groups, taps]: where the first output pixel reads each weight column."""
        (rows, columns), phases = self.axes, self.phases
        found = np.empty((self.shape.group_ic, rows.kernel, columns.kernel), np.int64)
        first = np.arange(self.shape.group_ic) * self.channel
        for i in range(rows.kernel):
            for j in range(columns.kernel):
                y, x = i * rows.dilation, j * columns.dilation
                phase = phases.index((y % rows.stride, x % columns.stride))
                at = (phase * rows.extent + y // rows.stride) * columns.extent
                found[:, i, j] = first + at + x // columns.stride
        return found.reshape(self.shape.group_ic, -1)

    def image(self, f: Function, data: Buffer, lanes: int) -> Buffer:
        """The flat image of `data` [N, IC, spatial...]: itself, or a copy that is emitted."""
        if not self.copied:
            return data
        count = self.shape.n * self.shape.ic
        copy = f.scratch("image", (count * self.channel + lanes,), "float32")  # read beyond
        with f.parallel(count, "channel") as channel:
            self._clear(f, copy, channel, lanes)
            for number, phase in enumerate(self.phases):
                self._phase(f, data, copy, channel, (number, *phase), lanes)
        return copy

    def _clear(self, f: Function, copy: Buffer, channel: Expr, lanes: int) -> None:
        for start, count, width in _chunks(self.channel, lanes):
            with f.serial(count, "clear") as i:
                f.store(copy, zeros(width), (channel * self.channel + start + i * width,), width)

    def _phase(
        self,
        f: Function,
        data: Buffer,
        copy: Buffer,
        channel: Expr,
        phase: tuple[int, int, int],
        lanes: int,
    ) -> None:
        number, row, column = phase
        rows, columns = self.axes
        top, bottom, y = rows.source(row)
        left, right, x = columns.source(column)
        into = channel * self.channel + (number * rows.extent + top) * columns.extent + left
        of = (channel * rows.size + y) * columns.size + x
        with f.serial(bottom - top, "y") as i:
            for start, count, width in _chunks(right - left, lanes):
                with f.serial(count, "x") as j:
                    at = start + j * width
                    source = of + i * rows.stride * columns.size + at * columns.stride
                    value = _strided(data, source, width, columns.stride)
                    f.store(copy, value, (into + i * columns.extent + at,), width)


def _strided(data: Buffer, offset: Expr, lanes: int, step: int) -> Expr:
    """Every `step`-th of the elements from a linear offset on, reading none beyond the last."""
    if step == 2 and lanes % 2 == 0:
        near, far = (load_flat(data, offset + at, lanes) for at in (0, lanes - 1))
        half = lanes // 2
        return tirx.Shuffle([near, far], [2 * i + (i >= half) for i in range(lanes)])
    index = (*[0] * (len(data.shape) - 1), tirx.convert(offset))
    return load(data, index, lanes, step)


def _chunks(extent: int, lanes: int) -> list[tuple[int, int, int]]:
    """(start, count, width): whole vectors, then what is left as a narrower one."""
    whole, rest = divmod(extent, lanes)
    found = [(0, whole, lanes)] if whole else []
    return found + ([(whole * lanes, 1, rest)] if rest else [])
