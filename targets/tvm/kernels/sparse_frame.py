"""What a sparse kernel reads and writes: the images of a convolution, or the rows of a matrix."""

from dataclasses import dataclass
from math import prod

from tvm import tirx

from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.sparse_plane import Plane
from codesign.targets.tvm.tir import Buffer, Expr, Function, load

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """A problem and its buffers: input [N, IC, spatial...], output [N, OC, spatial...]."""

    shape: ConvShape

    @property
    def plane(self) -> Plane:
        """The flat image that every weight column is a shift of."""
        return Plane(self.shape)

    @property
    def data(self) -> Shape:
        """Shape of the input."""
        return self.shape.plain_input

    @property
    def out(self) -> Shape:
        """Shape of the output."""
        return self.shape.plain_output

    @property
    def copied(self) -> int:
        """Elements of the input's copy, 0 if it is read as it is."""
        plane = self.plane
        return self.shape.n * self.shape.ic * plane.channel if plane.copied else 0

    def image(self, f: Function, data: Buffer, lanes: int) -> Buffer:
        """Emit what makes the flat image of `data`."""
        return self.plane.image(f, data, lanes)

    def index(self, number: Expr, channel: Expr, y: Expr, x: Expr) -> tuple[Expr, ...]:
        """Where an output pixel of `Plane.pixels` lies."""
        shape = self.shape
        rows, _ = self.plane.pixels
        at = unravel(x, shape.out_spatial) if rows == 1 else (y, x)[-len(shape.spatial) :]
        return (number, channel, *at)


@dataclass(frozen=True)
class Rows(Frame):
    """A matrix product over `lines`: input [lines..., K], output [lines..., O], turned both ways.

    Its shape is that of a 1x1 convolution whose pixels are the lines.
    """

    lines: Shape

    @property
    def data(self) -> Shape:
        return (prod(self.lines), self.shape.ic)

    @property
    def out(self) -> Shape:
        return (*self.lines, self.shape.oc)

    @property
    def copied(self) -> int:
        return prod(self.data)

    def image(self, f: Function, data: Buffer, lanes: int) -> Buffer:
        count, depth = self.data
        copy = f.scratch("turned", (count * depth,), "float32")
        whole, rest = divmod(depth, lanes)
        with f.parallel(whole + bool(rest), "columns") as part:
            first = part * lanes
            width = tirx.min(lanes, depth - first) if rest else lanes
            with f.serial(count, "line") as line, f.serial(width, "k") as k:
                f.store(copy, load(data, (line, first + k)), ((first + k) * count + line,))
        return copy

    def index(self, number: Expr, channel: Expr, y: Expr, x: Expr) -> tuple[Expr, ...]:
        return (*unravel(x, self.lines), channel)


def rows(lines: Shape, depth: int, columns: int) -> Rows:
    """A matrix product of [lines..., depth] with [columns, depth] transposed."""
    point = ((1,), (1,), ((0, 0),), (1,))
    return Rows(ConvShape(1, depth, columns, (prod(lines),), *point), lines)
