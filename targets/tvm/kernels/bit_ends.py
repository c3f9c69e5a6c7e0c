"""What becomes of counts of bits: packed codes by thresholds, or whatever an epilogue makes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.interpret.steps import Steps
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.kernels import bits, int8_layout
from codesign.targets.tvm.kernels.bit_sums import Border, Factors, Sums
from codesign.targets.tvm.kernels.int8_layout import Image
from codesign.targets.tvm.tir import Buffer, Expr, Function, llvm, load, zeros

BLOCKS = 8  # vectors whose signs make a byte
Arrays = tuple[npt.NDArray[np.generic], ...]


class End(ABC):
    """The last part of a kernel on bits. `constants` are its operands, in order."""

    channels: int

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The output channel at each place of the vectors of a tile."""
        return np.arange(self.channels)

    @property
    @abstractmethod
    def constants(self) -> Arrays:
        """Arrays that the kernel reads, in the order in which `declare` takes them."""

    @abstractmethod
    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "Writer":
        """Declare operands and output of physical `out_shape` as the next parameters of `f`."""


def widened(array: Sums, width: int, fill: int = 0) -> Sums:
    """`array` [..., C] with `fill` for the channels up to `width`."""
    missing = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, missing, constant_values=fill).astype(np.int64)


@dataclass(frozen=True)
class Writer(ABC):
    """Stores the counts of a register tile. `lanes` of them lie in each buffer, as int64."""

    f: Function
    out: Image
    operands: tuple[Buffer, ...]
    border: tuple[Buffer, ...]

    @abstractmethod
    def store(self, acc: list[Buffer], lanes: int, n: Expr, y: Expr, x: Expr, first: Expr) -> None:
        """Store a pixel's counts of the channels from `first` on, `lanes` in each of `acc`."""

    def start(self, y: Expr, x: Expr, channel: Expr, lanes: int) -> Expr:
        """What the counts of a pixel begin with: nothing."""
        return zeros(lanes, "int64")

    def class_of(self, y: Expr, x: Expr) -> Expr:
        """The class of a pixel at the border (see `bit_sums.Border`), 0 if there is none."""
        return load(self.border[0], (y,)) + load(self.border[1], (x,)) if self.border else 0


def _declared(f: Function, names: tuple[str, ...], arrays: Arrays) -> tuple[Buffer, ...]:
    return tuple(
        f.argument(name, array.shape, array.dtype.name)
        for name, array in zip(names, arrays, strict=True)
    )


@dataclass(frozen=True)
class Codes(End):
    """Codes by thresholds, packed again; `channels` is a multiple of 64.

    A count P reaches level k if slope * P + centre + border >= the k-th threshold, or, where codes
    fall as sums grow, if it does not reach the complement: `flips` then turn all bits round.
    With `lanes` the sums begin below zero by as much as they may grow, so that their signs are the
    codes; block b of the eight of a tile, lane l, is channel 8 * l + 7 - b of the tile's, so that
    eight shifts collect the signs of a lane as a byte.
    """

    factors: Factors
    centre: Sums
    steps: Steps
    channels: int
    border: Border | None = None
    lanes: int = 0

    @property
    def planes(self) -> int:
        """Bits of a code."""
        return int(self.steps.thresholds.shape[1]).bit_length()

    @property
    def one_sign(self) -> bool:
        """Whether the sign of a single count can be the code."""
        return self.planes == 1 and self.factors.pairs() == [[(0, 0, False)]]

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The channel that lies at each place of a vector of blocks."""
        at = np.arange(self.channels)
        if not self.lanes:
            return at
        tile, place = divmod(at, BLOCKS * self.lanes)
        block, lane = divmod(place, self.lanes)
        ordered: npt.NDArray[np.int64] = (
            tile * BLOCKS * self.lanes + lane * BLOCKS + BLOCKS - 1 - block
        )
        return ordered

    @property
    def limits(self) -> Sums:
        """[levels - 1, classes, channels]: the most (slope below 0) or the least that P may be."""
        s = self.steps
        rising = s.thresholds - self.centre[:, None]
        falling = 1 - s.thresholds[:, ::-1] - self.centre[:, None]  # not S <= -T
        need = np.where(s.signs[:, None] > 0, rising, falling).T[:, None, :]
        if self.border is not None:
            need = need - self.border.table
        size, never = abs(self.factors.slope), 1 << 40
        if self.factors.slope < 0:
            return widened(-need // size, self.channels, -never)
        return widened(-(-need // size), self.channels, never)

    @property
    def constants(self) -> Arrays:
        flips = widened(self.steps.signs, self.channels) < 0
        limits, rising = self.limits, self.factors.slope > 0
        if self.lanes:
            limits = (-limits if rising else -limits - 1)[..., self.order]
            flips = ~flips if rising else flips
        classes = () if self.border is None else (self.border.rows, self.border.columns)
        return np.ascontiguousarray(limits), np.packbits(flips, bitorder="little"), *classes

    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "CodeWriter":
        names = ("limits", "flips", "rows", "columns")
        arrays = self.constants
        buffers = _declared(f, names[: len(arrays)], arrays)
        out = bits.argument(f, "y", out_shape, self.planes)
        slope, signs = self.factors.slope, bool(self.lanes)
        return CodeWriter(f, out, buffers[:2], buffers[2:], slope, self.planes, signs)


@dataclass(frozen=True)
class CodeWriter(Writer):
    """Compares, and packs eight or more channels at once."""

    slope: int
    planes: int
    signs: bool

    def start(self, y: Expr, x: Expr, channel: Expr, lanes: int) -> Expr:
        if not self.signs:
            return super().start(y, x, channel, lanes)
        return load(self.operands[0], (0, self.class_of(y, x), channel), lanes)

    def store(self, acc: list[Buffer], lanes: int, n: Expr, y: Expr, x: Expr, first: Expr) -> None:
        if self.signs:
            return self._store_signs(acc, lanes, n, y, x, first)
        codes = [self._code(total, lanes, y, x, first + b * lanes) for b, total in enumerate(acc)]
        width = len(acc) * lanes // 8
        for plane in range(self.planes):
            words = [self._bits(code, plane, b * lanes, lanes) for b, code in enumerate(codes)]
            word = words[0]
            for other in words[1:]:
                word = word | other
            if lanes > 1:
                word = llvm("int64", f"llvm.vector.reduce.or.v{lanes}i64", word)
            narrow = tirx.Cast(f"uint{8 * width}", word) if width < 8 else word
            octets = narrow if width == 1 else tirx.reinterpret(f"uint8x{width}", narrow)
            self._put(octets, width, n * self.planes + plane, y, x, first)
        return None

    def _store_signs(
        self, acc: list[Buffer], lanes: int, n: Expr, y: Expr, x: Expr, first: Expr
    ) -> None:
        word, one = zeros(lanes, "int64"), tirx.Broadcast(tirx.const(1, "int64"), lanes)
        for total in acc:
            sign = load(total, (0,), lanes)
            word = llvm(f"int64x{lanes}", f"llvm.fshl.v{lanes}i64", word, sign, one)
        self._put(tirx.Cast(f"uint8x{lanes}", word), lanes, n, y, x, first)

    def _code(self, total: Buffer, lanes: int, y: Expr, x: Expr, channel: Expr) -> list[Expr]:
        """Which levels are reached, as vectors of truth values."""
        limits, place = self.operands[0], self.class_of(y, x)
        count = self.f.let(load(total, (0,), lanes), "count", f"int64x{lanes}")
        found = []
        for level in range(int(limits.shape[0])):
            limit = load(limits, (level, place, channel), lanes)
            found.append(count <= limit if self.slope < 0 else count >= limit)
        return found

    def _bits(self, levels: list[Expr], plane: int, place: int, lanes: int) -> Expr:
        """The bit of `plane` of each lane's code, lane l at bit `place` + l of a 64-bit word."""
        one = [
            tirx.const((1 << (place + i)) - (1 << 64) * (place + i == 63), "int64")
            for i in range(lanes)
        ]
        marks = tirx.Shuffle(one, list(range(lanes)))
        none = zeros(lanes, "int64")
        if len(levels) == 1:
            return tirx.Select(levels[0], marks, none)
        unit = tirx.Broadcast(tirx.const(1, "int64"), lanes)
        code = none
        for level in levels:
            code = code + tirx.Select(level, unit, none)
        shifted = code >> tirx.Broadcast(tirx.const(plane, "int64"), lanes)
        return tirx.Select((shifted & unit) == unit, marks, none)

    def _put(self, octets: Expr, width: int, image: Expr, y: Expr, x: Expr, first: Expr) -> None:
        flips = load(self.operands[1], (first // 8,), width)
        place = self.out.at(image, y, x, first // 8)
        self.f.store(self.out.buffer, octets ^ flips, place, width)


@dataclass(frozen=True)
class Whole(End):
    """The sums, as 32-bit accumulators of an `epilogue`; `channels` is a multiple of 16.

    They are counted in 2^-digits.
    """

    factors: Factors
    centre: Sums
    epilogue: Epilogue
    channels: int
    border: Border | None = None
    digits: int = 0

    @property
    def constants(self) -> Arrays:
        centre, unit = self.centre[None], 1 << self.digits
        if self.border is None:
            return (widened(centre, self.channels) * unit,)
        table = widened(centre + self.border.table, self.channels) * unit
        return table, self.border.rows, self.border.columns

    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "SumWriter":
        arrays = self.constants
        names = ("centre", "rows", "columns")
        buffers = _declared(f, names[: len(arrays)], arrays)
        operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in self.epilogue.operands)
        out = int8_layout.argument(f, "y", out_shape, self.epilogue.out_dtype)
        made = (self.epilogue, self.factors.slope * (1 << self.digits))
        return SumWriter(f, out, (buffers[0], *operands), buffers[1:], *made)


@dataclass(frozen=True)
class SumWriter(Writer):
    """Counts to sums, and on through the epilogue."""

    epilogue: Epilogue
    slope: int

    def store(self, acc: list[Buffer], lanes: int, n: Expr, y: Expr, x: Expr, first: Expr) -> None:
        whole = self.epilogue.vector and len(acc) * lanes % int8_layout.LANES == 0
        group = int8_layout.LANES // lanes if whole else 1
        for b in range(0, len(acc), group):
            channel = first + b * lanes
            sums = [
                self._sum(total, lanes, y, x, channel + i * lanes)
                for i, total in enumerate(acc[b : b + group])
            ]
            width = group * lanes
            local = self.f.local("sums", (width,), "int32")
            joined = sums[0] if group == 1 else tirx.Shuffle(sums, list(range(width)))
            self.f.store(local, joined, (0,), width)
            index = self.out.at(n, y, x, channel)
            int8_layout.finish(
                self.f, self.epilogue, local, self.out, index, self.operands[1:], width
            )

    def _sum(self, total: Buffer, lanes: int, y: Expr, x: Expr, channel: Expr) -> Expr:
        slope = tirx.Broadcast(tirx.const(self.slope, "int64"), lanes)
        centre = load(self.operands[0], (self.class_of(y, x), channel), lanes)
        return tirx.Cast(f"int32x{lanes}", load(total, (0,), lanes) * slope + centre)
