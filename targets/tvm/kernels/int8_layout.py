"""How 8-bit activations lie in memory: channels last, rounded up to a multiple of 16.

This is the blocked layout [N, ceil(C/b), spatial..., b] with b = C rounded up to 16, so that there
is one block: [N, 1, spatial..., b]. A pixel's channels are contiguous, which is what a dot product
over channels, a tile of 16 pixels by 64 channels, and a depthwise kernel all read; and the columns
of a kernel row are contiguous with them. What the padding channels hold is undefined: kernels
multiply them with zero weights.
"""

from dataclasses import dataclass
from math import prod

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, load

LANES = 16


def channels(c: int) -> int:
    """Physical channels of `c` logical ones."""
    return -(-c // LANES) * LANES


def activation(n: int, c: int, spatial: tuple[int, ...]) -> tuple[int, ...]:
    """Physical shape of a tensor of `c` channels."""
    return (n, 1, *spatial, channels(c))


@dataclass(frozen=True)
class Plane:
    """A two-dimensional convolution in channels-last terms; one-dimensional ones have h = 1."""

    n: int
    ic: int
    oc: int
    h: int
    w: int
    kh: int
    kw: int
    sh: int
    sw: int
    dh: int
    dw: int
    top: int
    left: int
    oh: int
    ow: int

    @property
    def ph(self) -> int:
        """Rows of the padded input that are read."""
        return (self.oh - 1) * self.sh + (self.kh - 1) * self.dh + 1

    @property
    def pw(self) -> int:
        """Columns of the padded input that are read."""
        return (self.ow - 1) * self.sw + (self.kw - 1) * self.dw + 1

    @property
    def padded(self) -> bool:
        """Whether taps fall outside the input."""
        bottom, right = self.ph - self.top - self.h, self.pw - self.left - self.w
        return self.top > 0 or self.left > 0 or bottom > 0 or right > 0

    @property
    def pointwise(self) -> bool:
        """Whether every output pixel is made of the input pixel at the same address."""
        return (self.kh, self.kw, self.sh, self.sw) == (1, 1, 1, 1) and not self.padded


def plane(shape: ConvShape, kernel: str) -> Plane:
    """`shape` as a Plane; RefusedError for what the kernels cannot do."""
    require(len(shape.spatial) <= 2 and not shape.transposed, kernel, shape, "1 or 2 axes, forward")
    require(min(min(p) for p in shape.pads) >= 0, kernel, shape, "pads of at least 0")
    require(min(shape.out_spatial) >= 1, kernel, shape, "an output of at least one pixel")
    ones = (1,) * (2 - len(shape.spatial))
    before = (0,) * len(ones) + tuple(p[0] for p in shape.pads)
    values = [
        (*ones, *axis) for axis in (shape.spatial, shape.kernel, shape.strides, shape.dilations)
    ]
    sizes = [v for axis in values for v in axis]
    out = (*ones, *shape.out_spatial)
    p = Plane(shape.n, shape.ic, shape.oc, *sizes, *before, *out)
    reached = p.ph > p.top and p.pw > p.left
    require(reached, kernel, shape, "a first window that reaches into the input")
    return p


@dataclass(frozen=True)
class Image:
    """A channels-last buffer, and how to index it. Channels may run on into the next columns."""

    buffer: Buffer
    shape: tuple[int, ...]
    dtype: str
    flat: bool = False

    def at(self, n: Expr, y: Expr, x: Expr, c: Expr) -> tuple[Expr, ...]:
        """The index of channel `c` of a pixel."""
        if self.flat:
            *_, h, w, depth = self.shape
            return (((n * h + y) * w + x) * depth + c,)
        return {5: (n, 0, y, x, c), 4: (n, 0, x, c), 3: (x, 0, c), 2: (x, c)}[len(self.shape)]


@dataclass(frozen=True)
class Part(Image):
    """Rows of a larger image from `first` on, or of the one image that a buffer holds a while.

    With `ring`, row y lies at y % ring. Columns begin `left` columns later.
    """

    first: Expr = 0
    ring: int = 0
    left: int = 0
    alone: bool = False

    def at(self, n: Expr, y: Expr, x: Expr, c: Expr) -> tuple[Expr, ...]:
        """The index of channel `c` of a pixel of the part."""
        row = self.first + y
        row = tirx.truncmod(row, self.ring) if self.ring else row
        return super().at(0 if self.alone else n, row, self.left + x, c)


def argument(f: Function, name: str, shape: tuple[int, ...], dtype: str) -> Image:
    """Declare a channels-last parameter of physical `shape`."""
    return Image(f.argument(name, shape, dtype), shape, dtype)


def padded(f: Function, source: Image, p: Plane, depth: int, zero: int, dtype: str) -> Image:
    """`source` as `dtype`, surrounded with `zero` as far as the kernel reads: a copy if need be.

    `depth` is the number of physical channels.
    """
    if not p.padded and source.dtype == dtype:
        return source
    shape = (p.n, 1, p.ph, p.pw, depth)
    inside = Image(f.scratch("padded", (prod(shape),), dtype), shape, dtype, flat=True)
    rows, columns = min(p.h, p.ph - p.top), min(p.w, p.pw - p.left)
    with f.serial(p.n, "n") as n:
        fill(f, inside, (n, 0), 0, p.top * p.pw * depth, zero)
        below = p.ph - p.top - rows
        fill(f, inside, (n, p.top + rows), 0, below * p.pw * depth, zero)
    with f.parallel(p.n * rows, "row") as row:
        n, y = row // rows, row % rows
        fill(f, inside, (n, p.top + y), 0, p.left * depth, zero)
        copy(f, inside, source, (n, p.top + y, p.left * depth), (n, y), columns * depth)
        right = (p.left + columns) * depth
        fill(f, inside, (n, p.top + y), right, p.pw * depth - right, zero)
    return inside


@dataclass(frozen=True)
class Window:
    """Part of an image: pixel (n, y, x), channel c of the whole is (0, y, x, c) of the part."""

    image: Image
    n: Expr
    y: Expr
    c: Expr

    def at(self, y: Expr, x: Expr, c: Expr) -> tuple[Expr, ...]:
        """The index of channel `c` of the pixel at row `y`, column `x` of the window."""
        return self.image.at(self.n, self.y + y, x, self.c + c)


def window(
    f: Function,
    source: Image,
    p: Plane,
    corner: tuple[Expr, Expr, Expr],
    size: tuple[int, int],
    zero: int,
) -> Window:
    """Padded rows from `corner` (image, padded row, channel) on, `size` (rows, channels) large.

    A copy that stays in the cache, or the source itself if nothing is padded.
    """
    (n, first, channel), (rows, width) = corner, size
    if not p.padded:
        return Window(source, n, first, channel)
    shape = (1, 1, rows, p.pw, width)
    near = Image(f.scratch("window", (prod(shape),), source.dtype), shape, source.dtype, flat=True)
    columns = min(p.w, p.pw - p.left)
    right = (p.left + columns) * width
    nothing = tirx.Broadcast(tirx.const(zero, source.dtype), width)
    with f.serial(rows, "row") as row:
        y = f.let(first + row - p.top)
        inside = f.let(tirx.all(y >= 0, y < p.h), "inside", "bool")
        clamped = f.let(tirx.max(tirx.min(y, p.h - 1), 0))
        fill(f, near, (0, row), 0, p.left * width, zero)
        with f.serial(columns, "x") as x:
            codes = load(source.buffer, source.at(n, clamped, x, channel), width)
            value = tirx.Select(inside, codes, nothing)
            f.store(near.buffer, value, near.at(0, row, p.left + x, 0), width)
        fill(f, near, (0, row), right, p.pw * width - right, zero)
    return Window(near, 0, 0, 0)


def fill(f: Function, to: Image, row: tuple[Expr, Expr], first: int, count: int, zero: int) -> None:
    """Set `count` elements of `row` (image, row) from `first` on, multiples of 16, to `zero`."""
    for start, lanes, extent in _pieces(count):
        with f.serial(extent, "i") as i:
            value = tirx.Broadcast(tirx.const(zero, to.dtype), lanes)
            f.store(to.buffer, value, to.at(*row, 0, first + start + i * lanes), lanes)


def copy(
    f: Function,
    to: Image,
    source: Image,
    at: tuple[Expr, Expr, int],
    row: tuple[Expr, Expr],
    count: int,
) -> None:
    """Copy `count` elements, a multiple of 16, from `row` of `source` to (image, row, first)."""
    n, y, first = at
    for start, lanes, extent in _pieces(count):
        with f.serial(extent, "i") as i:
            codes = load(source.buffer, source.at(*row, 0, start + i * lanes), lanes)
            value = codes if source.dtype == to.dtype else tirx.Cast(f"{to.dtype}x{lanes}", codes)
            f.store(to.buffer, value, to.at(n, y, 0, first + start + i * lanes), lanes)


def _pieces(count: int) -> list[tuple[int, int, int]]:
    """(start, lanes, repetitions) that cover `count` elements, a multiple of 8."""
    found, start = [], 0
    for lanes in (64, LANES, 8):
        times = (count - start) // lanes
        found += [(start, lanes, times)] * (times > 0)
        start += times * lanes
    return found


def finish(
    f: Function,
    epilogue: Epilogue,
    acc: Buffer,
    out: Image,
    index: tuple[Expr, ...],
    operands: tuple[Buffer, ...],
    lanes: int = LANES,
) -> None:
    """Store the epilogue of the `lanes` accumulators in the local buffer `acc` at `index`."""
    *outer, channel = index
    if epilogue.vector and lanes == LANES:
        where = (*outer, tirx.Ramp(tirx.convert(channel), 1, LANES))
        value = epilogue.apply(load(acc, (0,), LANES), where, operands)
        f.store(out.buffer, value, index, LANES)
        return
    with f.vectorized(lanes) as lane:
        where = (*outer, channel + lane)
        f.store(out.buffer, epilogue.apply(load(acc, (lane,)), where, operands), where)
