"""Convolutions on packed bits: exclusive or (or and), population count, addition.

A word of 64 channels of a pixel is broadcast against a vector of words of as many output channels
as there are 64-bit lanes (Courbariaux et al., Binarized Neural Networks, 2016, section 4.1). The
register tiles and tasks are those of the 8-bit convolutions (`int8_tile`): a word is a step. Planes
are summed from the highest power of two down, doubling the counts in between.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import bits, int8_layout
from codesign.targets.tvm.kernels import int8_tile as tile
from codesign.targets.tvm.kernels.bit_ends import End, Writer
from codesign.targets.tvm.kernels.bit_sums import Factors, Sums
from codesign.targets.tvm.kernels.int8_dot import Dot
from codesign.targets.tvm.kernels.int8_layout import Plane
from codesign.targets.tvm.kernels.int8_tile import Point, Reduction
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, llvm, load

__all__ = ["Point", "Problem", "default", "emit", "pack_weight", "space"]


@dataclass(frozen=True)
class Problem:
    """A convolution of `shape` on bits, whose result has `channels` physical channels.

    With `rows` it is a matrix product: the pixels of the one row of `shape` are the batch.
    """

    shape: ConvShape
    factors: Factors
    channels: int
    rows: bool = False

    @property
    def input(self) -> tuple[int, ...]:
        """Physical shape of the packed input."""
        s, planes = self.shape, self.factors.planes
        if self.rows:
            return (s.spatial[0], planes, bits.channels(s.ic) // 8)
        return bits.activation(s.n, planes, s.ic, s.spatial)

    @property
    def plane(self) -> Plane:
        """The convolution on bytes of channels."""
        require(self.shape.groups == 1, "conv_bits", self.shape, "one group")
        p = int8_layout.plane(self.shape, "conv_bits")
        return replace(p, ic=bits.channels(p.ic) // 8)

    def reduction(self, isa: Isa) -> Reduction:
        """The reduction, a word a step."""
        p = self.plane
        dot = Dot("", isa.vector_bits // bits.WORD, bits.WORD // 8, "uint8", "uint8")
        return Reduction(p, dot, p.ic, p.ic, p.dw == 1 and p.kw > 1)

    def blocks(self, isa: Isa) -> int:
        """Vectors of output channels."""
        return self.channels * bits.WORD // isa.vector_bits


def space(problem: Problem, isa: Isa) -> list[Point]:
    """Points that fit the registers, least estimated time first."""
    p, lanes, most_blocks = problem.plane, isa.vector_bits // bits.WORD, problem.blocks(isa)
    available = p.oh * p.ow
    spare = 2 if isa.popcount else 7  # a word and its count; tables and halves of bytes besides
    points = set[Point]()
    for blocks in (b for b in range(1, min(most_blocks, 8) + 1) if b * lanes % 8 == 0):
        most = min(max((isa.registers - spare) // blocks, 1), available)
        for pixels in range(max(1, most // 2), most + 1):
            sizes = [(h, pixels // h) for h in (1, 2, 3, 4, 7) if pixels % h == 0]
            fits = [(h, w) for h, w in sizes if h <= p.oh and w <= p.ow]
            points |= {_point(problem, isa, blocks, h, w) for h, w in fits}
    points = points or {_point(problem, isa, 8 // lanes, 1, 1)}
    return sorted(points, key=lambda point: _cost(problem, isa, point))


def _point(problem: Problem, isa: Isa, blocks: int, rows: int, columns: int) -> Point:
    p = problem.plane
    read = rows * columns * p.sh * p.sw * p.ic
    tiles = -(-p.oh // rows) * -(-p.ow // columns)
    groups = -(-problem.blocks(isa) // blocks)
    return Point(blocks, rows, columns, tile.chunk(tiles, groups, read))


def _cost(problem: Problem, isa: Isa, point: Point) -> float:
    """Cycles of a step, up to a factor: three operations a count, two at once, as loads."""
    p, pixels = problem.plane, point.rows * point.columns
    groups = -(-problem.blocks(isa) // point.blocks)
    tiles = -(-p.oh // point.rows) * -(-p.ow // point.columns) * groups
    work = max(1.5 * pixels * point.blocks, (pixels + point.blocks) / 2, 5.0)  # latency
    end = pixels * (2.0 * point.blocks + 6) / problem.reduction(isa).steps
    return tiles * (work + 1 + end)


def default(problem: Problem, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(problem, isa)[0]


def pack_weight(
    weight: Sums, problem: Problem, isa: Isa, point: Point, order: npt.NDArray[np.int64]
) -> bits.Bytes:
    """Multiples [O, I, k...] as [plane x channel tile, word, block, channel x byte].

    `order` is the channel at each place.
    """
    r, missing = problem.reduction(isa), problem.channels - len(weight)
    words = problem.factors.words(weight)
    words = np.pad(words, [(0, 0), (0, missing)] + [(0, 0)] * (words.ndim - 2))[:, order]
    whole = replace(r, p=replace(r.p, oc=problem.channels))
    packed = [whole.pack(plane.view(np.int8), point) for plane in words]
    return np.ascontiguousarray(np.concatenate(packed)).view(np.uint8)


def emit(
    name: str, problem: Problem, isa: Isa, point: Point, end: End, output: tuple[int, ...]
) -> PrimFunc:
    """Packed input, weight as `pack_weight` gives it, what `end` declares for `output`."""
    r, factors = problem.reduction(isa), problem.factors
    r = replace(r, p=replace(r.p, oc=problem.channels))
    f = Function(name)
    source = bits.argument(f, "x", problem.input, factors.planes)
    groups, *rest = r.packed(point)
    weight = f.argument("w", (groups * factors.weight_planes, *rest), "uint8")
    writer = end.declare(f, output)
    images = replace(r.p, n=r.p.n * factors.planes)
    image = int8_layout.padded(f, source, images, r.channels, 0, "uint8")
    Kernel(f, r, point, image, weight, factors, writer).emit()
    return f.build()


@dataclass(frozen=True)
class Kernel(tile.Tiles):
    """The loops of one function."""

    weight: Buffer
    factors: Factors
    writer: Writer

    def tile(self, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        """The counts of one register tile, and where they go."""
        point, lanes = self.point, self.r.dot.lanes
        pixels = point.rows * point.columns
        first = self.f.let(tirx.min(group * point.blocks, self.r.blocks - point.blocks) * lanes)
        acc = [self.f.local("acc", (lanes,), "int64") for _ in range(pixels * point.blocks)]
        for number, total in enumerate(acc):
            (row, column), b = divmod(number // point.blocks, point.columns), number % point.blocks
            start = self.writer.start(y + row, x + column, first + b * lanes, lanes)
            self.f.store(total, start, (0,), lanes)
        for number, pairs in enumerate(self.factors.pairs()):
            for total in acc if number else ():
                value = load(total, (0,), lanes)
                self.f.store(total, value + value, (0,), lanes)
            for i, j, subtracted in pairs:
                self._count(
                    acc, n * self.factors.planes + i, self.groups * j + group, y, x, subtracted
                )
        for i in range(pixels):
            row, column = divmod(i, point.columns)
            mine = acc[i * point.blocks : (i + 1) * point.blocks]
            self.writer.store(mine, lanes, n, y + row, x + column, first)

    def _count(
        self, acc: list[Buffer], image: Expr, group: Expr, y: Expr, x: Expr, subtracted: bool
    ) -> None:
        kh, kw, steps = self.r.loops
        p, f, lanes, blocks = self.r.p, self.f, self.r.dot.lanes, self.point.blocks
        dtype = f"int64x{lanes}"
        with f.serial(kh, "ky") as ky, f.serial(kw, "kx") as kx, f.serial(steps, "k") as k:
            step = (ky * kw + kx) * steps + k
            rows = [load(self.weight, (group, step, b, 0), 8 * lanes) for b in range(blocks)]
            weights = [f.let(tirx.reinterpret(dtype, row), "w", dtype) for row in rows]
            for i in range(self.point.rows * self.point.columns):
                r, c = divmod(i, self.point.columns)
                row, column = (y + r) * p.sh + ky * p.dh, (x + c) * p.sw + kx * p.dw
                octets = load(self.image.buffer, self.image.at(image, row, column, k * 8), 8)
                word = tirx.Broadcast(tirx.reinterpret("int64", octets), lanes)
                word = f.let(word, "x", dtype)
                for total, w in zip(acc[i * blocks : (i + 1) * blocks], weights, strict=True):
                    same = word ^ w if self.factors.signs else word & w
                    count = llvm(dtype, f"llvm.ctpop.v{lanes}i64", same)
                    before = load(total, (0,), lanes)
                    value = before - count if subtracted else before + count
                    f.store(total, value, (0,), lanes)
