"""8-bit depthwise convolution: one filter a channel, u8 activations, s8 weights, 32-bit sums.

With 8-bit dot products, 64 channels of four neighbouring pixels are interleaved by byte unpacking,
so that each 32-bit lane holds four taps of one channel; a tile of several output rows shares the
interleaved input rows. The sums come out with their 128-bit lanes transposed, which is undone
before the epilogue. Without dot products, products are 32 bits wide, 16 channels at a time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_dot import has_wide_dot, wide_dot
from codesign.targets.tvm.kernels.int8_layout import LANES, Plane, Window
from codesign.targets.tvm.kernels.int8_shuffle import lanes, unpack
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load, zeros

SLICES = 4  # groups of 16 channels that are processed together
TAPS = 4  # taps an instruction


@dataclass(frozen=True)
class Point:
    """Output rows of a tile."""

    rows: int


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Tiles of 1 to 6 rows, fewest recomputed and reloaded rows first."""
    p = _plane(shape)
    rows = range(1, min(p.oh, 6 if has_wide_dot(isa) else 3) + 1)
    return sorted((Point(r) for r in rows), key=lambda point: _cost(p, point))


def default(shape: ConvShape, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(shape, isa)[0]


def _cost(p: Plane, point: Point) -> float:
    read = (point.rows - 1) * p.sh + p.kh
    quads = -(-p.kw // TAPS)
    return -(-p.oh // point.rows) * (quads * (8 * read + 4 * p.kh * point.rows) + 56 * point.rows)


def _plane(shape: ConvShape) -> Plane:
    one_each = shape.groups == shape.ic == shape.oc
    require(one_each, "depthwise_int8", shape, "as many groups as input and output channels")
    return layout.plane(shape, "depthwise_int8")


def _slices(p: Plane) -> list[tuple[int, int]]:
    """(column, channel) offsets of the four groups of 16 channels that go together."""
    depth = layout.channels(p.ic)
    count = min(depth // LANES, SLICES)
    columns = SLICES // count if SLICES % count == 0 and SLICES // count <= p.ow else 1
    places = [(i // count, i % count * LANES) for i in range(count * columns)]
    return (places * SLICES)[:SLICES] if columns == 1 and count != SLICES else places


def pack_weight(
    weight: npt.NDArray[np.int8], shape: ConvShape, isa: Isa, point: Point
) -> npt.NDArray[np.int8]:
    """[C, 1, k...] as [group, kernel row, 4 columns, quarter, 16 channels x 4 taps]."""
    p = _plane(shape)
    depth, quads = layout.channels(p.ic), -(-p.kw // TAPS)
    full = np.zeros((depth, p.kh, quads * TAPS), np.int8)
    full[: p.ic, :, : p.kw] = weight.reshape(p.ic, p.kh, p.kw)
    if not has_wide_dot(isa):
        return np.ascontiguousarray(full[..., : p.kw].transpose(1, 2, 0))
    starts = _starts(depth)
    order = [[s + c + i for _, c in _slices(p) for i in range(LANES)] for s in starts]
    taps = full[np.array(order)].reshape(len(starts), SLICES, 4, 4, p.kh, quads, TAPS)
    packed = taps.transpose(0, 4, 5, 2, 1, 3, 6)
    return np.ascontiguousarray(packed).reshape(len(starts), p.kh, quads, 4, SLICES * LANES)


def _starts(depth: int) -> list[int]:
    width = min(depth, SLICES * LANES)
    return [min(i, depth - width) for i in range(0, depth, width)]


def packed_shape(shape: ConvShape, isa: Isa) -> tuple[int, ...]:
    """Shape of the packed weight, see `pack_weight`."""
    p = _plane(shape)
    if not has_wide_dot(isa):
        return (p.kh, p.kw, layout.channels(p.ic))
    starts = _starts(layout.channels(p.ic))
    return (len(starts), p.kh, -(-p.kw // TAPS), 4, SLICES * LANES)


def emit(
    name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue, zero_point: int = 0
) -> PrimFunc:
    """input u8 [N, 1, spatial, C'], weight as `pack_weight` gives it, operands, output.

    C' is C rounded up to 16. Taps outside the input read `zero_point`.
    """
    p = _plane(shape)
    f = Function(name)
    depth, wide = layout.channels(p.ic), has_wide_dot(isa)
    source = layout.argument(f, "x", layout.activation(p.n, p.ic, shape.spatial), "uint8")
    weight = f.argument("w", packed_shape(shape, isa), "int8")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out_shape = layout.activation(p.n, p.oc, shape.out_spatial)
    out = layout.argument(f, "y", out_shape, epilogue.out_dtype)
    image = source if wide else layout.padded(f, source, p, depth, zero_point, "uint8")
    kernel = Kernel(f, p, point, isa, image, weight, out, epilogue, operands, zero_point)
    kernel.dotted() if wide else kernel.plain()
    return f.build()


@dataclass(frozen=True)
class Kernel:
    """What the loops of one function are made of."""

    f: Function
    p: Plane
    point: Point
    isa: Isa
    image: layout.Image
    weight: Buffer
    out: layout.Image
    epilogue: Epilogue
    operands: tuple[Buffer, ...]
    zero: int

    def plain(self) -> None:
        """16 channels at a time, one multiplication a tap."""
        p, f, rows = self.p, self.f, self.point.rows
        tiles, groups = -(-p.oh // rows), layout.channels(p.ic) // LANES
        with f.parallel(p.n * tiles, "task") as task:
            n, y = task // tiles, f.let(tirx.min(task % tiles * rows, p.oh - rows))
            with f.serial(p.ow, "x") as x, f.serial(groups, "group") as group:
                self._plain_tile(n, y, x, group)

    def walk(self) -> None:
        """All tiles of one image that is padded already, within a task."""
        p, f, rows = self.p, self.f, self.point.rows
        depth = layout.channels(p.ic)
        tiles = -(-p.oh // rows)
        with f.serial(tiles, "tile") as tile:
            y = f.let(tirx.min(tile * rows, p.oh - rows))
            if not has_wide_dot(self.isa):
                with f.serial(p.ow, "x") as x, f.serial(depth // LANES, "group") as group:
                    self._plain_tile(0, y, x, group)
                return
            with f.serial(len(_starts(depth)), "group") as group:
                width = min(depth, SLICES * LANES)
                channel = f.let(tirx.min(group * width, depth - width))
                source = Window(self.image, 0, y * p.sh, channel)
                self._columns(source, group, (0, y, channel))

    def _plain_tile(self, n: Expr, y: Expr, x: Expr, group: Expr) -> None:
        p, f = self.p, self.f
        acc = self._sums(self.point.rows)
        with f.serial(p.kh, "ky") as ky, f.serial(p.kw, "kx") as kx:
            w = load(self.weight, (ky, kx, group * LANES), LANES)
            for r, total in enumerate(acc):
                row, column = (y + r) * p.sh + ky * p.dh, x * p.sw + kx * p.dw
                at = self.image.at(n, row, column, group * LANES)
                pixel = load(self.image.buffer, at, LANES)
                product = _wider(pixel) * _wider(w)
                f.store(total, load(total, (0,), LANES) + product, (0,), LANES)
        for r, total in enumerate(acc):
            self._finish(total, self.out.at(n, y + r, x, group * LANES))

    def _sums(self, count: int) -> list[Buffer]:
        acc = [self.f.local("acc", (LANES,), "int32") for _ in range(count)]
        for a in acc:
            self.f.store(a, zeros(LANES, "int32"), (0,), LANES)
        return acc

    def _finish(self, acc: Buffer, index: tuple[Expr, ...]) -> None:
        layout.finish(self.f, self.epilogue, acc, self.out, index, self.operands)

    def dotted(self) -> None:
        """64 channels at a time, four taps an instruction."""
        p, f, rows = self.p, self.f, self.point.rows
        depth = layout.channels(p.ic)
        width, groups = min(depth, SLICES * LANES), len(_starts(depth))
        tiles = -(-p.oh // rows)
        with f.parallel(p.n * tiles * groups, "task") as task:
            group, n = task % groups, task // (groups * tiles)
            y = f.let(tirx.min(task // groups % tiles * rows, p.oh - rows))
            channel = f.let(tirx.min(group * width, depth - width))
            read = ((rows - 1) * p.sh + (p.kh - 1) * p.dh + 1, width)
            source = layout.window(f, self.image, p, (n, y * p.sh, channel), read, self.zero)
            self._columns(source, group, (n, y, channel))

    def _columns(self, source: Window, group: Expr, place: tuple[Expr, Expr, Expr]) -> None:
        f, p = self.f, self.p
        step = _slices(p)[-1][0] + 1
        with f.serial(-(-p.ow // step), "column") as column:
            x = f.let(tirx.min(column * step, p.ow - step))
            self._tile(source, x, group, place)

    def _tile(self, source: Window, x: Expr, group: Expr, place: tuple[Expr, Expr, Expr]) -> None:
        p, f, rows = self.p, self.f, self.point.rows
        n, y, channel = place
        acc = self._sums(rows * SLICES)
        for row in range((rows - 1) * p.sh + (p.kh - 1) * p.dh + 1):
            users = [
                (r, (row - r * p.sh) // p.dh)
                for r in range(rows)
                if (row - r * p.sh) % p.dh == 0 and 0 <= (row - r * p.sh) // p.dh < p.kh
            ]
            for quad in range(-(-p.kw // TAPS) if users else 0):
                for j, data in enumerate(self._interleaved(source, row, x, quad)):
                    for r, ky in users:
                        w = load(self.weight, (group, ky, quad, j, 0), SLICES * LANES)
                        total = acc[r * SLICES + j]
                        value = wide_dot(self.isa, load(total, (0,), LANES), data, w)
                        f.store(total, value, (0,), LANES)
        for r in range(rows):
            indices = [self.out.at(n, y + r, x + dx, channel + dc) for dx, dc in _slices(p)]
            self._finish_row(acc[r * SLICES : (r + 1) * SLICES], indices)

    def _finish_row(self, acc: list[Buffer], indices: list[tuple[Expr, ...]]) -> None:
        """Store the four groups of 16 channels of the four sums."""
        if self.epilogue.interleaved is None:
            self._transpose(acc)
            for total, index in zip(acc, indices, strict=True):
                self._finish(total, index)
            return
        sums = [load(total, (0,), LANES) for total in acc]
        values = self.epilogue.interleaved(sums, indices, self.operands)
        if self._adjacent(1):
            self.f.store(self.out.buffer, values, indices[0], SLICES * LANES)
            return
        values = self.f.let(values, "y", f"{self.epilogue.out_dtype}x{SLICES * LANES}")
        for i, index in enumerate(indices):
            part = tirx.Shuffle([values], list(range(i * LANES, (i + 1) * LANES)))
            self.f.store(self.out.buffer, part, index, LANES)

    def _adjacent(self, stride: int) -> bool:
        """Whether the slices are 64 channels in a row, columns being `stride` pixels apart."""
        depth = layout.channels(self.p.ic)
        offsets = [dx * stride * depth + dc for dx, dc in _slices(self.p)]
        return offsets == [i * LANES for i in range(SLICES)]

    def _interleaved(self, source: Window, row: int, x: Expr, quad: int) -> list[Expr]:
        """Four vectors, each with four channels of every slice, four taps a channel."""
        p, f = self.p, self.f
        taps = range(quad * TAPS, min((quad + 1) * TAPS, p.kw))
        pixels = [f.let(self._pixels(source, row, x, t), "p", "uint8x64") for t in taps]
        pixels += [pixels[-1]] * (TAPS - len(pixels))
        (a, b), (c, d) = ((pixels[i], pixels[i + 1]) for i in (0, 2))
        pairs = [(unpack(a, b, 1, h), unpack(c, d, 1, h)) for h in (0, 1)]
        named = [[f.let(v, "q", "uint8x64") for v in pair] for pair in pairs]
        quads = [unpack(first, second, 2, h) for first, second in named for h in (0, 1)]
        return [f.let(v, "q", "uint8x64") for v in quads]

    def _pixels(self, source: Window, row: int, x: Expr, tap: int) -> Expr:
        """The 64 channels of the four slices at one tap."""
        p = self.p
        columns = [((x + dx) * p.sw + tap * p.dw, dc) for dx, dc in _slices(p)]
        where = [source.at(row, *place) for place in columns]
        buffer = source.image.buffer
        if self._adjacent(p.sw):
            return load(buffer, where[0], SLICES * LANES)
        parts = [load(buffer, at, LANES) for at in where]
        return tirx.Shuffle(parts, list(range(SLICES * LANES)))

    def _transpose(self, acc: list[Buffer]) -> None:
        """Lane i of sum j becomes lane j of sum i (lanes of 128 bits)."""
        a = [load(total, (0,), LANES) for total in acc]
        halves = [
            [self.f.let(lanes(a[i], a[i + 1], pick), "t", "int32x16") for i in (0, 2)]
            for pick in ((0, 1, 4, 5), (2, 3, 6, 7))
        ]
        results = [lanes(u, v, pick) for u, v in halves for pick in ((0, 2, 4, 6), (1, 3, 5, 7))]
        named = [self.f.let(v, "t", "int32x16") for v in results]
        for total, value in zip(acc, named, strict=True):
            self.f.store(total, value, (0,), LANES)


def _wider(value: Expr) -> Expr:
    return tirx.Cast(f"int32x{LANES}", value)
