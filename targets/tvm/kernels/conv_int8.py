"""8-bit convolution: u8 activations, s8 weights, 32-bit accumulators, any k, stride, pad, dilation.

A register tile of `rows` x `columns` output pixels by `blocks` x 16 output channels is accumulated
over kernel rows, kernel columns and input channels, four channels an instruction (Georganas et
al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", 2018, with
channels last). Tiles that do not divide the output overlap: the last one starts earlier.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_layout import LANES, Plane
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, llvm, load, zeros
from tvm import tirx

DEPTH = 4  # input channels an instruction
_L2_SHARE = 256 * 1024  # bytes of activations that a chunk may read


@dataclass(frozen=True)
class Point:
    """A register tile, and how many tiles a task does before it goes on to the next channels."""

    blocks: int
    rows: int
    columns: int
    chunk: int


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Register tiles that fit, best guess first."""
    p = _flat(shape)
    blocks = -(-p.oc // LANES)
    budget = isa.registers * isa.vector_bits // 512 if isa.vector_bits < 512 else isa.registers
    points = []
    for b in range(1, min(blocks, 4) + 1):
        for pixels in range(1, (budget - b - 1) // b + 1):
            points += [_point(p, b, r, pixels // r) for r in _divisors(pixels, p)]
    return sorted(set(points), key=lambda point: _cost(p, point, isa))


def default(shape: ConvShape, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(shape, isa)[0]


def _divisors(pixels: int, p: Plane) -> list[int]:
    return [
        r for r in range(1, pixels + 1) if pixels % r == 0 and r <= p.oh and pixels // r <= p.ow
    ]


def _point(p: Plane, blocks: int, rows: int, columns: int) -> Point:
    tile = rows * columns * p.sh * p.sw * layout.channels(p.ic)
    tiles = -(-p.oh // rows) * -(-p.ow // columns)
    return Point(blocks, rows, columns, max(1, min(_L2_SHARE // tile, -(-tiles // 4))))


def _cost(p: Plane, point: Point, isa: Isa) -> float:
    """Cycles of the reduction, up to a factor: two multiplications or two loads a cycle."""
    pixels = point.rows * point.columns
    tiles = -(-p.oh // point.rows) * -(-p.ow // point.columns)
    tiles *= -(-(-(-p.oc // LANES)) // point.blocks)
    loads = pixels + point.blocks
    latency = 8 if pixels * point.blocks < 10 else 0
    return tiles * (max(pixels * point.blocks, loads) + 0.25 * loads + latency)


def _flat(shape: ConvShape) -> Plane:
    """The plane of `shape`; pointwise ones have one long row."""
    require(shape.groups == 1, "conv_int8", shape, "one group")
    p = layout.plane(shape, "conv_int8")
    if not p.pointwise:
        return p
    return Plane(p.n, p.ic, p.oc, 1, p.h * p.w, *(1,) * 6, 0, 0, 1, p.oh * p.ow)


def _merged(p: Plane) -> bool:
    """Whether the columns of a kernel row are walked together with the channels."""
    return p.dw == 1 and p.kw > 1


def _steps(p: Plane) -> tuple[int, int, int]:
    """Kernel rows, kernel columns and instructions a column of the reduction's loops."""
    if _merged(p):
        return p.kh, 1, p.kw * layout.channels(p.ic) // DEPTH
    return p.kh, p.kw, -(-p.ic // DEPTH)


def _starts(total: int, tile: int) -> list[int]:
    return [min(i, total - tile) for i in range(0, total, tile)]


def pack_weight(
    weight: npt.NDArray[np.int8], shape: ConvShape, isa: Isa, point: Point
) -> npt.NDArray[np.int8]:
    """[O, I, k...] as [channel tile, kernel row, kernel column, step, block, 16 x 4]."""
    p = _flat(shape)
    blocks, depth = -(-p.oc // LANES), layout.channels(p.ic)
    full = np.zeros((blocks * LANES, p.kh, p.kw, depth), np.int8)
    full[: p.oc, ..., : p.ic] = weight.reshape(p.oc, p.ic, p.kh, p.kw).transpose(0, 2, 3, 1)
    kh, kw, steps = _steps(p)
    taps = full.reshape(blocks, LANES, kh, kw, -1)[..., : steps * DEPTH]
    packed = taps.reshape(blocks, LANES, kh, kw, steps, DEPTH).transpose(0, 2, 3, 4, 1, 5)
    tiles = [packed[s : s + point.blocks] for s in _starts(blocks, point.blocks)]
    stacked = np.stack(tiles).transpose(0, 2, 3, 4, 1, 5, 6)
    return np.ascontiguousarray(stacked).reshape(*_packed_shape(p, point))


def _packed_shape(p: Plane, point: Point) -> tuple[int, ...]:
    tiles = len(_starts(-(-p.oc // LANES), point.blocks))
    return (tiles, *_steps(p), point.blocks, LANES * DEPTH)


def emit(
    name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue, zero_point: int = 0
) -> PrimFunc:
    """input u8 [N, 1, spatial, C'], weight as `pack_weight` gives it, operands, output.

    C' is C rounded up to 16. Taps outside the input read `zero_point`.
    """
    p = _flat(shape)
    f = Function(name)
    source = layout.argument(f, "x", layout.activation(p.n, p.ic, shape.spatial), "uint8")
    weight = f.argument("w", _packed_shape(p, point), "int8")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    shape_out = layout.activation(p.n, p.oc, shape.out_spatial)
    out = layout.argument(f, "y", shape_out, epilogue.out_dtype)
    image = layout.padded(f, source, p, layout.channels(p.ic), zero_point, "uint8")
    kernel = _Kernel(f, p, point, image, weight, out, epilogue, operands)
    kernel.emit()
    return f.build()


@dataclass(frozen=True)
class _Kernel:
    """What the loops of one function are made of."""

    f: Function
    p: Plane
    point: Point
    image: layout.Image
    weight: Buffer
    out: layout.Image
    epilogue: Epilogue
    operands: tuple[Buffer, ...]

    def emit(self) -> None:
        p, point = self.p, self.point
        across = -(-p.ow // point.columns)
        tiles = -(-p.oh // point.rows) * across
        chunks, groups = -(-tiles // point.chunk), self.weight_tiles
        with self.f.parallel(p.n * chunks * groups, "task") as task:
            group, n = task % groups, task // (groups * chunks)
            first = self.f.let(task // groups % chunks * point.chunk)
            count = tirx.min(tiles - first, point.chunk)
            with self.f.serial(count, "tile") as t:
                tile = first + t
                y = self.f.let(tirx.min(tile // across * point.rows, p.oh - point.rows))
                x = self.f.let(tirx.min(tile % across * point.columns, p.ow - point.columns))
                self._tile(n, group, y, x)

    @property
    def weight_tiles(self) -> int:
        return _packed_shape(self.p, self.point)[0]

    def _tile(self, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        point = self.point
        count = point.rows * point.columns * point.blocks
        acc = [self.f.local("acc", (LANES,), "int32") for _ in range(count)]
        for a in acc:
            self.f.store(a, zeros(LANES, "int32"), (0,), LANES)
        self._reduce(acc, n, group, y, x)
        blocks = -(-self.p.oc // LANES)
        block = self.f.let(tirx.min(group * point.blocks, blocks - point.blocks))
        for i in range(count):
            (r, c), b = divmod(i // point.blocks, point.columns), i % point.blocks
            index = self.out.at(n, y + r, x + c, (block + b) * LANES)
            layout.finish(self.f, self.epilogue, acc[i], self.out, index, self.operands)

    def _reduce(self, acc: list[Buffer], n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        kh, kw, steps = _steps(self.p)
        p, f = self.p, self.f
        with f.serial(kh, "ky") as ky, f.serial(kw, "kx") as kx, f.serial(steps, "k") as k:
            weights = [
                f.let(load(self.weight, (group, ky, kx, k, b, 0), LANES * DEPTH), "w", "int8x64")
                for b in range(self.point.blocks)
            ]
            for i in range(self.point.rows * self.point.columns):
                r, c = divmod(i, self.point.columns)
                at = self.image.at(
                    n, (y + r) * p.sh + ky * p.dh, (x + c) * p.sw + kx * p.dw, k * DEPTH
                )
                word = tirx.reinterpret("int32", load(self.image.buffer, at, DEPTH))
                pixel = f.let(
                    tirx.reinterpret("uint8x64", tirx.Broadcast(word, LANES)), "a", "uint8x64"
                )
                for b, w in enumerate(weights):
                    total = acc[i * self.point.blocks + b]
                    f.store(total, dot(load(total, (0,), LANES), pixel, w), (0,), LANES)


def dot(total: Expr, pixel: Expr, weight: Expr) -> Expr:
    """total[c] + sum over 4 of u8 pixel x s8 weight, for 16 channels."""
    return llvm("int32x16", "llvm.x86.avx512.vpdpbusd.512", total, pixel, weight)
