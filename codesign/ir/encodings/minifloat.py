"""Small floating-point numbers of a sign, a few exponent bits and a few mantissa bits."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Encoding, Parts, Role, Shape
from codesign.ir.encodings.scale import along, check_scale, one


@dataclass(frozen=True)
class Minifloat(Encoding):
    """value = scale * (-1)^sign * 1.mantissa * 2^(exponent - bias), bias 2^(exponent bits - 1) - 1.

    Exponent 0 holds subnormals. `special` says which top codes are no numbers: `inf` (the whole top
    exponent, as in IEEE 754: e5m2), `nan` (the all-ones code alone: e4m3), `none` (e3m2, e2m3,
    e2m1). x / scale (float32) is rounded half to even and saturates; -0 is stored as 0. Sources:
    Micikevicius et al., FP8 formats for deep learning, 2022; Rouhani et al., Microscaling data
    formats for deep learning, 2023.
    """

    kind: ClassVar[str] = "minifloat"
    role: ClassVar[Role] = "element"
    positional: ClassVar[int] = 2

    exponent: int = 4
    mantissa: int = 3
    special: Literal["none", "nan", "inf"] = "nan"
    scale: Const = field(default_factory=one)
    axis: int | None = None

    def check(self, shape: Shape) -> None:
        """Refuse sizes outside 2-8 exponent and 0-10 mantissa bits, 16 in all, and bad scales."""
        legal = 2 <= self.exponent <= 8 and 0 <= self.mantissa <= 10 and self.width <= 16
        if not legal:
            raise VerificationError(
                f"minifloat e{self.exponent}m{self.mantissa} needs 2-8 exponent bits, 0-10 "
                "mantissa bits and at most 16 bits in all"
            )
        check_scale(self.kind, self.scale, self.axis, shape)

    @property
    def width(self) -> int:
        """Bits a code."""
        return 1 + self.exponent + self.mantissa

    @property
    def least(self) -> int:
        """Exponent of the smallest normal number."""
        return 2 - (1 << (self.exponent - 1))

    @property
    def top(self) -> int:
        """Code of the largest finite number."""
        codes = 1 << (self.exponent + self.mantissa)
        reserved = {"none": 0, "nan": 1, "inf": 1 << self.mantissa}[self.special]
        return codes - 1 - reserved

    @property
    def largest(self) -> float:
        """The largest finite number, before the scale."""
        return float(self._magnitude(np.array(self.top)))

    def bits(self, shape: Shape, element_bits: int) -> int:
        """The codes and a float32 scale a slice."""
        return prod(shape) * self.width + self.scale.array.size * 32

    def widths(self, element_bits: int) -> dict[str, int]:
        """`width` bits a code."""
        return {"values": self.width}

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: uint8 or uint16 codes, sign on top, shaped as `array`."""
        scaled = array.astype(np.float32) / along(self.scale, self.axis, array.ndim)
        size = np.minimum(np.abs(scaled.astype(np.float64)), self.largest)
        size = self._round(size)
        steps = np.ldexp(size, self.mantissa - self._exponent(size))  # mantissa as an integer
        code = ((self._exponent(size) - self.least) << self.mantissa) + steps.astype(np.int32)
        sign = ((scaled < 0) & (code > 0)).astype(np.int32) << (self.exponent + self.mantissa)
        return {"values": (sign | code).astype(np.uint8 if self.width <= 8 else np.uint16)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """float32 values."""
        codes = parts["values"].reshape(shape).astype(np.int32)
        size = self._magnitude(codes & ((1 << (self.width - 1)) - 1)).astype(np.float32)
        signed = np.where(codes >> (self.width - 1), -size, size)
        values: np.ndarray = signed * along(self.scale, self.axis, len(shape))
        return values

    def _exponent(self, size: np.ndarray) -> np.ndarray:
        """Exponent of the binade of each number; that of zero and the subnormals is the least."""
        exponent = np.maximum(np.frexp(size)[1] - 1, self.least)
        return np.where(size > 0, exponent, self.least)

    def _round(self, size: np.ndarray) -> np.ndarray:
        """The nearest multiple of each number's last place, half to even."""
        place = self._exponent(size) - self.mantissa
        rounded: np.ndarray = np.ldexp(np.rint(np.ldexp(size, -place)), place)
        return rounded

    def _magnitude(self, code: np.ndarray) -> np.ndarray:
        """The numbers (float64) of codes without sign."""
        exponent, fraction = code >> self.mantissa, code & ((1 << self.mantissa) - 1)
        whole = np.where(exponent > 0, fraction + (1 << self.mantissa), fraction)
        number: np.ndarray = np.ldexp(
            whole.astype(np.float64), np.maximum(exponent, 1) - 1 + self.least - self.mantissa
        )
        return number
