"""Affine integers: value = scale * (code - zero), per tensor or along one axis."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Parts
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.scale import along, check_scale, check_vector, one

ACCUMULATOR_BITS = 32


def _zero() -> Const:
    return Const(0, "int32")


@dataclass(frozen=True)
class Int(Grid):
    """`bits`-wide affine integers (1 to 16, or 32 for accumulators).

    code = clamp(rint(x / scale) + zero, low, high), round half to even; value = scale * (code -
    zero) in float32 (the arithmetic of ONNX QuantizeLinear and DequantizeLinear). `scale` (float32)
    and `zero` (int32) are scalars or, with `axis`, vectors along that axis.
    """

    kind: ClassVar[str] = "int"

    width: int = 8
    scale: Const = field(default_factory=one)
    zero: Const = field(default_factory=_zero)
    signed: bool = True
    axis: int | None = None

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def code_bits(self) -> int:
        return self.width

    @property
    def reach(self) -> tuple[int, int]:
        zeros = self.zero.array
        return self.low - int(zeros.max(initial=0)), self.high - int(zeros.min(initial=0))

    def multiples(self, codes: np.ndarray) -> np.ndarray:
        centred: np.ndarray = codes.astype(np.int64) - self.along(self.zero, codes.ndim)
        return centred

    @property
    def symmetric(self) -> bool:
        """True if every zero point is 0, so that code 0 means value 0."""
        return not self.zero.array.any()

    @property
    def storage(self) -> str:
        size = 8 if self.width <= 8 else 16 if self.width <= 16 else 32
        return f"{'int' if self.signed else 'uint'}{size}"

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse widths outside 1-16 (or 32), bad scales, and axes that do not fit `shape`."""
        if not (1 <= self.width <= 16 or self.width == ACCUMULATOR_BITS):
            raise VerificationError(f"int width {self.width} is not in 1..16 (32 for accumulators)")
        check_scale("int", self.scale, self.axis, shape)
        check_vector("int", "zero", self.zero, self.axis, shape, "int32")
        zero = self.zero.array
        if (zero < self.low).any() or (zero > self.high).any():
            raise VerificationError(f"int zero point outside {self.low}..{self.high}")

    def along(self, const: Const, rank: int) -> np.ndarray:
        """`const` (scale or zero) reshaped to broadcast against a tensor of `rank` axes."""
        return along(const, self.axis, rank)

    @property
    def zero_is_zero(self) -> bool:
        """See `symmetric`."""
        return self.symmetric

    def widths(self, element_bits: int) -> dict[str, int]:
        """`width` bits a code."""
        return {"values": self.width}

    def bits(self, shape: tuple[int, ...], element_bits: int) -> int:
        """Codes plus one float32 scale and one zero point (of `width` bits) a slice."""
        count = int(np.prod(shape, dtype=np.int64))
        overhead = self.scale.array.size * 32 + self.zero.array.size * self.width
        return count * self.width + overhead

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: codes in `storage`, shaped as `array`."""
        rank = array.ndim
        scaled = array.astype(np.float32) / self.along(self.scale, rank)
        wide = np.rint(scaled).astype(np.float64) + self.along(self.zero, rank)
        return {"values": np.clip(wide, self.low, self.high).astype(self.storage)}

    def decode(self, parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
        """float32 values."""
        codes = parts["values"].astype(np.int64).reshape(shape)
        centred = (codes - self.along(self.zero, len(shape))).astype(np.float32)
        values: np.ndarray = centred * self.along(self.scale, len(shape))
        return values
