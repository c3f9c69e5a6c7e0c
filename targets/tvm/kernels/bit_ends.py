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

Arrays = tuple[npt.NDArray[np.generic], ...]


class End(ABC):
    """The last part of a kernel on bits. `constants` are its operands, in order."""

    border: Border | None
    channels: int

    @property
    @abstractmethod
    def constants(self) -> Arrays:
        """Arrays that the kernel reads, in the order in which `declare` takes them."""

    @abstractmethod
    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "Writer":
        """Declare operands and output of physical `out_shape` as the next parameters of `f`."""

    def borders(self) -> Arrays:
        """The table of the border [classes, channels], int64, and its classes."""
        if self.border is None:
            return ()
        table = widened(self.border.table, self.channels)
        return table, self.border.rows, self.border.columns


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

    def beyond(self, y: Expr, x: Expr, channel: Expr, lanes: int) -> Expr | None:
        """What the border adds to the sums of a pixel, int64; None if there is none."""
        if not self.border:
            return None
        table, rows, columns = self.border
        place = load(rows, (y,)) + load(columns, (x,))
        return load(table, (place, channel), lanes)


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
    """

    factors: Factors
    centre: Sums
    steps: Steps
    channels: int
    border: Border | None = None

    @property
    def planes(self) -> int:
        """Bits of a code."""
        return int(self.steps.thresholds.shape[1]).bit_length()

    @property
    def limits(self) -> Sums:
        """[levels - 1, channels]: what the count, times |slope| and less the border, must not pass.

        At most that where the slope is negative, at least its negative where it is positive.
        """
        s = self.steps
        rising = s.thresholds - self.centre[:, None]
        falling = 1 - s.thresholds[:, ::-1] - self.centre[:, None]  # not S <= -T
        need = np.where(s.signs[:, None] > 0, rising, falling).T
        never = 1 << 40
        if self.factors.slope < 0:
            return widened(-need, self.channels, -never)
        return widened(need, self.channels, never)

    @property
    def constants(self) -> Arrays:
        flips = np.packbits(widened(self.steps.signs, self.channels) < 0, bitorder="little")
        limits = self.limits
        if self.border is None:  # compare the bare count
            size = abs(self.factors.slope)
            limits = limits // size if self.factors.slope < 0 else -(-limits // size)
        return limits, flips, *self.borders()

    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "CodeWriter":
        names = ("limits", "flips", "border", "rows", "columns")
        arrays = self.constants
        buffers = _declared(f, names[: len(arrays)], arrays)
        out = bits.argument(f, "y", out_shape, self.planes)
        return CodeWriter(f, out, buffers[:2], buffers[2:], self.factors.slope, self.planes)


@dataclass(frozen=True)
class CodeWriter(Writer):
    """Compares, and packs eight or more channels at once."""

    slope: int
    planes: int

    def store(self, acc: list[Buffer], lanes: int, n: Expr, y: Expr, x: Expr, first: Expr) -> None:
        codes = [self._code(total, lanes, y, x, first + b * lanes) for b, total in enumerate(acc)]
        width = len(acc) * lanes // 8
        for plane in range(self.planes):
            words = [self._bits(code, plane, b * lanes, lanes) for b, code in enumerate(codes)]
            word = words[0]
            for other in words[1:]:
                word = word | other
            if lanes > 1:
                word = llvm("int64", f"llvm.vector.reduce.or.v{lanes}i64", word)
            self._put(word, width, n * self.planes + plane, y, x, first)

    def _code(self, total: Buffer, lanes: int, y: Expr, x: Expr, channel: Expr) -> list[Expr]:
        """Which levels are reached, as vectors of truth values."""
        limits = self.operands[0]
        count = load(total, (0,), lanes)
        beyond = self.beyond(y, x, channel, lanes)
        if beyond is not None:
            count = count * tirx.Broadcast(tirx.const(abs(self.slope), "int64"), lanes)
            count = count - beyond if self.slope < 0 else count + beyond
        count = self.f.let(count, "count", f"int64x{lanes}")
        found = []
        for level in range(int(limits.shape[0])):
            limit = load(limits, (level, channel), lanes)
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

    def _put(self, word: Expr, width: int, image: Expr, y: Expr, x: Expr, first: Expr) -> None:
        flips = load(self.operands[1], (first // 8,), width)
        place = self.out.at(image, y, x, first // 8)
        narrow = tirx.Cast(f"uint{8 * width}", word) if width < 8 else word
        octets = narrow if width == 1 else tirx.reinterpret(f"uint8x{width}", narrow)
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
        tables, unit = self.borders(), 1 << self.digits
        tables = (tables[0] * unit, *tables[1:]) if tables else ()
        return widened(self.centre, self.channels) * unit, *tables

    def declare(self, f: Function, out_shape: tuple[int, ...]) -> "SumWriter":
        arrays = self.constants
        names = ("centre", "border", "rows", "columns")
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
        value = load(total, (0,), lanes) * slope + load(self.operands[0], (channel,), lanes)
        beyond = self.beyond(y, x, channel, lanes)
        return tirx.Cast(f"int32x{lanes}", value if beyond is None else value + beyond)
