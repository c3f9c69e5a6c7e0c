"""Shared values: each element is the number of an entry of a short table."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Encoding, Parts, Role, Shape

MOST = 1 << 16


def _pair() -> Const:
    return Const([0.0, 1.0], "float32")


@dataclass(frozen=True)
class Codebook(Encoding):
    """The nearest of `table` (float32 vector, 2 to 65,536 values), ties to the smaller value.

    Put 0 first if a structure holds the codes. Source: Han et al., Deep compression, 2015,
    section 3 (weight sharing).
    """

    kind: ClassVar[str] = "codebook"
    role: ClassVar[Role] = "element"

    table: Const = field(default_factory=_pair)

    def check(self, shape: Shape) -> None:
        """Refuse tables that are no finite float32 vector of 2 to 65,536 values."""
        table = self.table.array
        if table.ndim != 1 or table.dtype != np.float32 or not 2 <= table.size <= MOST:
            raise VerificationError(
                f"a codebook is a float32 vector of 2 to {MOST} values, not {table.dtype}"
                f"{list(table.shape)}"
            )
        if not np.isfinite(table).all():
            raise VerificationError("codebook values must be finite")

    @property
    def zero_is_zero(self) -> bool:
        """True if the first value is 0."""
        return bool(self.table.array[0] == 0)

    @property
    def width(self) -> int:
        """Bits a code: the logarithm of the table's length, rounded up."""
        return (self.table.array.size - 1).bit_length()

    def bits(self, shape: Shape, element_bits: int) -> int:
        """The codes and the table."""
        return prod(shape) * self.width + self.table.array.size * 32

    def widths(self, element_bits: int) -> dict[str, int]:
        """`width` bits a code."""
        return {"values": self.width}

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: uint8 or uint16 indices into the table, shaped as `array`."""
        table = self.table.array.astype(np.float64)
        order = np.argsort(table, kind="stable")
        middles = (table[order][1:] + table[order][:-1]) / 2
        found = order[np.searchsorted(middles, array.astype(np.float64))]
        return {"values": found.astype(np.uint8 if self.width <= 8 else np.uint16)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """float32 values."""
        values: np.ndarray = self.table.array[parts["values"].reshape(shape)]
        return values
