"""Powers of two: multiplying by one is a shift."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Encoding, Parts, Role, Shape

LOWEST, HIGHEST = -126, 127  # exponents of normal float32 numbers


@dataclass(frozen=True)
class Pow2(Encoding):
    """+-2^e for low <= e <= high and, with `zero`, 0; values in between go to the nearest.

    With `zero` the code is 0 for 0 and +-(e - low + 1) else; without it, e - low for 2^e and its
    bitwise complement for -2^e. Larger magnitudes saturate. Ties go to the larger magnitude, and
    to 0 between 0 and 2^low. Source: Zhou et al., Incremental network quantization, 2017, eq. 1.
    """

    kind: ClassVar[str] = "pow2"
    role: ClassVar[Role] = "element"
    positional: ClassVar[int] = 2

    low: int = -6
    high: int = 0
    zero: bool = True
    signed: bool = True

    def check(self, shape: Shape) -> None:
        """Refuse empty exponent ranges and those outside float32."""
        if not LOWEST <= self.low <= self.high <= HIGHEST:
            raise VerificationError(
                f"pow2 exponents {self.low}..{self.high} must be a range within {LOWEST}..{HIGHEST}"
            )

    @property
    def zero_is_zero(self) -> bool:
        """True if 0 is a value."""
        return self.zero

    @property
    def width(self) -> int:
        """Bits a code: the magnitudes (and 0) and, if signed, the sign."""
        largest = self.high - self.low + (1 if self.zero else 0)
        return max(1, largest.bit_length() + (1 if self.signed else 0))

    def bits(self, shape: Shape, element_bits: int) -> int:
        """The codes; the range is part of the type."""
        return prod(shape) * self.width

    def widths(self, element_bits: int) -> dict[str, int]:
        """`width` bits a code."""
        return {"values": self.width}

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: int8 or int16 codes (uint8 if not signed), shaped as `array`."""
        wide = array.astype(np.float64)
        size = np.abs(wide) if self.signed else np.maximum(wide, 0.0)
        size = np.minimum(size, 2.0**self.high)  # infinity has no exponent
        fraction, exponent = np.frexp(size)  # size = fraction * 2^exponent, 0.5 <= fraction < 1
        nearest = exponent.astype(np.int16) - (fraction < 0.75)
        steps = np.clip(nearest, self.low, self.high) - self.low
        steps = np.where(size == 0, 0, steps)
        if self.zero:
            steps = np.where(size <= 2.0 ** (self.low - 1), 0, steps + 1)
        if not self.signed:
            return {"values": steps.astype(np.uint8)}
        negative = -steps if self.zero else ~steps
        codes = np.where(wide < 0, negative, steps)
        return {"values": codes.astype(np.int8 if self.width <= 8 else np.int16)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """float32 values."""
        codes = parts["values"].reshape(shape).astype(np.int32)
        if self.zero:
            sign, steps = np.sign(codes), np.abs(codes) - 1
        else:
            sign, steps = np.where(codes < 0, -1, 1), np.where(codes < 0, ~codes, codes)
        power = np.ldexp(np.float32(1.0), np.maximum(steps, 0) + self.low)
        values: np.ndarray = sign.astype(np.float32) * power
        return values
