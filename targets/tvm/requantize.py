"""Integer requantization: 32-bit accumulators to 8-bit codes, exactly, without floating point.

    y = clamp(((a * m[c] + 2^(s[c]-1)) >> s[c]) + zero, low, high)
    y = clamp(((a * m[c] + (r - zr) * mr[c] + 2^(s[c]-1)) >> s[c]) + zero, low, high)

with a = acc + bias[c], all products exact, and >> the arithmetic shift: rounding half up (Jacob et
al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018, eq. 6, whose two roundings are one here). a must fit in 32 bits.

Everything that is constant is folded into one addend, add = bias * m - zr * mr + 2^(s-1) +
zero * 2^s. With 512-bit vectors the even and the odd channels of 16 are multiplied separately
(vpmuldq takes the even lanes in place), and the odd ones are shifted by s - 32 only, so that their
result lies in the upper half already and one blend joins both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.errors import RefusedError
from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr, Operand
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.tir import llvm, load

Ints = npt.NDArray[Any] | np.signedinteger[Any] | int
LANES = 16  # channels that the vector form takes at once
_MOST_SHIFT = 53  # up to here the folded addend fits in 64 bits


@dataclass(frozen=True)
class Residual:
    """The second operand r: 8-bit codes of physical `shape`, zero point and multipliers [C]."""

    shape: tuple[int, ...]
    zero: int
    multiplier: Ints
    dtype: str = "uint8"


@dataclass(frozen=True)
class Scaling:
    """How accumulators become codes: `bias`, `multiplier`, `shift` are [C] or scalars.

    0 <= multiplier < 2^31, 1 <= shift <= 62. `zero` is the zero point of the result, which is
    clamped to [low, high] and stored as `dtype`. `bound` is the largest |acc + bias| that can
    occur, if it is known to be small: multipliers above 1/2 are fast only then.
    """

    bias: Ints
    multiplier: Ints
    shift: Ints
    zero: int
    low: int = 0
    high: int = 255
    dtype: str = "uint8"
    bound: int = 2**31


@dataclass(frozen=True)
class Requantization:
    """An epilogue and the values of its constant operands, by operand name."""

    epilogue: Epilogue
    constants: dict[str, npt.NDArray[np.int64]]


def requantize(
    scaling: Scaling, channels: int, isa: Isa, residual: Residual | None = None
) -> Requantization:
    """The epilogue of `scaling` for a result of `channels` physical channels, and its constants.

    Operands in order: `multiplier`, `add`, `shift`, and with a residual `residual_multiplier`,
    `residual` (an activation, not among the constants). RefusedError for numbers out of range.
    """
    columns = _columns(scaling, residual, channels)
    fast = _fits(columns, scaling.bound)
    if fast:
        columns["add"] = columns["add"] + (np.int64(scaling.zero) << columns["shift"])
    vector = fast and isa.vector_bits == 512
    early = int(columns["shift"].min()) >= 32
    if vector:
        columns = {name: _even_odd(value) for name, value in columns.items()}
        if early:
            columns["shift"].reshape(-1, 2, 8)[:, 1] -= 32
    operands = tuple(Operand(name, (channels,), "int64") for name in columns)
    if residual is not None:
        operands += (Operand("residual", residual.shape, residual.dtype),)
    if not vector:
        scalar = _Scalar(scaling, 0 if fast else scaling.zero)
        return Requantization(Epilogue(operands, scaling.dtype, scalar.apply), columns)
    form = _Vector(scaling, early)
    many = form.interleaved if residual is None else None
    return Requantization(Epilogue(operands, scaling.dtype, form.apply, True, many), columns)


def _fits(columns: dict[str, npt.NDArray[np.int64]], bound: int) -> bool:
    """Whether every result before clamping fits in 32 bits, and every folded addend in 64."""
    other = columns.get("residual_multiplier", np.zeros_like(columns["shift"]))
    largest = [
        (bound * int(m) + 256 * int(r) >> int(s)) + 512
        for m, r, s in zip(columns["multiplier"], other, columns["shift"], strict=True)
    ]
    return max(largest) < 2**31 and int(columns["shift"].max()) <= _MOST_SHIFT


def _columns(
    scaling: Scaling, residual: Residual | None, channels: int
) -> dict[str, npt.NDArray[np.int64]]:
    m, bias = _spread(scaling.multiplier, channels), _spread(scaling.bias, channels)
    s = _spread(scaling.shift, channels, padding=32)
    rounding = np.int64(1) << (np.clip(s, 1, 62) - 1)
    columns = {"multiplier": m, "add": bias * m + rounding, "shift": s}
    if residual is not None:
        mr = _spread(residual.multiplier, channels)
        columns["add"] = columns["add"] - residual.zero * mr
        columns["residual_multiplier"] = mr
    _check(columns)
    return columns


def _check(columns: dict[str, npt.NDArray[np.int64]]) -> None:
    factors = [v for name, v in columns.items() if "multiplier" in name]
    if any(v.min() < 0 or v.max() >= 2**31 for v in factors):
        raise RefusedError("requantize: a multiplier is outside [0, 2^31); normalize it")
    if columns["shift"].min() < 1 or columns["shift"].max() > 62:
        raise RefusedError("requantize: a shift is outside 1..62; use a smaller multiplier")


def _spread(value: Ints, channels: int, padding: int = 0) -> npt.NDArray[np.int64]:
    flat = np.asarray(value, np.int64).reshape(-1)
    if flat.size == 1:
        return np.full(channels, flat[0], np.int64)
    return np.concatenate([flat, np.full(channels - flat.size, padding, np.int64)])


def _even_odd(value: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each 16 channels as 8 even ones, then 8 odd ones."""
    return np.ascontiguousarray(value.reshape(-1, 8, 2).transpose(0, 2, 1)).reshape(-1)


@dataclass(frozen=True)
class _Scalar:
    """One accumulator at a time, for vectorized loops on any machine."""

    scaling: Scaling
    zero: int

    def apply(self, acc: Expr, index: tuple[Expr, ...], buffers: tuple[Buffer, ...]) -> Expr:
        channel = index[-1]
        total = tirx.Cast("int64", acc) * load(buffers[0], (channel,)) + load(
            buffers[1], (channel,)
        )
        if len(buffers) > 3:
            other = tirx.Cast("int64", load(buffers[4], index))
            total = total + other * load(buffers[3], (channel,))
        shifted = (total >> load(buffers[2], (channel,))) + tirx.const(self.zero, "int64")
        low, high = (tirx.const(v, "int64") for v in (self.scaling.low, self.scaling.high))
        return tirx.Cast(self.scaling.dtype, tirx.max(tirx.min(shifted, high), low))


@dataclass(frozen=True)
class _Vector:
    """Sixteen channels at once: `acc` is an int32x16, the last index a ramp.

    `early` says that the shifts of odd channels are less by 32, so that their results are in place.
    """

    scaling: Scaling
    early: bool

    def apply(self, acc: Expr, index: tuple[Expr, ...], buffers: tuple[Buffer, ...]) -> Expr:
        """The codes of 16 channels in a row."""
        other = None
        if len(buffers) > 3:
            other = tirx.Cast(f"int32x{LANES}", tirx.BufferLoad(buffers[4], list(index)))
        first = index[-1].base

        def constant(operand: int, odd: int) -> Expr:
            return load(buffers[operand], (first + 8 * odd,), 8)

        value = self._scaled(acc, other, constant)
        low, high = (tirx.const(v, "int32") for v in (self.scaling.low, self.scaling.high))
        clamped = tirx.max(tirx.min(value, tirx.Broadcast(high, LANES)), tirx.Broadcast(low, LANES))
        return tirx.Cast(f"{self.scaling.dtype}x{LANES}", clamped)

    def interleaved(
        self, accs: list[Expr], indices: list[tuple[Expr, ...]], buffers: tuple[Buffer, ...]
    ) -> Expr:
        """The codes of 64 channels, see `Epilogue`: packing instructions restore their order."""
        values = []
        for j, acc in enumerate(accs):

            def constant(operand: int, odd: int, j: int = j) -> Expr:
                places = [(index[-1] + 8 * odd + 2 * j,) for index in indices]
                pairs = [load(buffers[operand], place, 2) for place in places]
                return tirx.Shuffle(pairs, list(range(8)))

            values.append(self._scaled(acc, None, constant))
        return self._packed(values)

    def _packed(self, values: list[Expr]) -> Expr:
        dtype, wide = self.scaling.dtype, "llvm.x86.avx512.packssdw.512"
        narrow = "llvm.x86.avx512.packus" if dtype == "uint8" else "llvm.x86.avx512.packss"
        words = [llvm("int16x32", wide, values[i], values[i + 1]) for i in (0, 2)]
        codes = llvm(f"{dtype}x64", f"{narrow}wb.512", *words)
        edges = {"uint8": (0, 255), "int8": (-128, 127)}[dtype]
        low, high = self.scaling.low, self.scaling.high
        if high < edges[1]:
            codes = tirx.min(codes, tirx.Broadcast(tirx.const(high, dtype), 64))
        if low > edges[0]:
            codes = tirx.max(codes, tirx.Broadcast(tirx.const(low, dtype), 64))
        return codes

    def _scaled(self, acc: Expr, other: Expr | None, constant: Callable[[int, int], Expr]) -> Expr:
        """The result before clamping, as int32x16."""
        halves = [self._half(acc, other, constant, odd) for odd in (0, 1)]
        blend = [2 * (i // 2) + (17 if i % 2 else 0) for i in range(LANES)]
        return tirx.Shuffle([tirx.reinterpret("int32x16", h) for h in halves], blend)

    def _half(
        self, acc: Expr, other: Expr | None, constant: Callable[[int, int], Expr], odd: int
    ) -> Expr:
        total = _wide(acc, odd) * _signed(constant(0, odd)) + constant(1, odd)
        if other is not None:
            total = total + _wide(other, odd) * _signed(constant(3, odd))
        shifted = total >> constant(2, odd)
        return shifted << _half_word() if odd and not self.early else shifted


def _wide(value: Expr, odd: int) -> Expr:
    """The even or odd lanes of an int32x16, sign-extended to int64x8."""
    pairs = tirx.reinterpret("int64x8", value)
    return pairs >> _half_word() if odd else _signed(pairs)


def _signed(value: Expr) -> Expr:
    """Shows the compiler that an int64x8 holds 32-bit numbers, so that it may use vpmuldq."""
    return (value << _half_word()) >> _half_word()


def _half_word() -> Expr:
    return tirx.Broadcast(tirx.const(32, "int64"), 8)
