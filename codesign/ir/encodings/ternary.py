"""Three values: -scale, 0 and +scale."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Parts, Shape
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.scale import along, check_scale, check_vector, one


def _half() -> Const:
    return Const(0.5, "float32")


@dataclass(frozen=True)
class Ternary(Grid):
    """Codes -1, 0, 1 in two bits: +-scale where |x| > threshold, else 0.

    `scale` and `threshold` (float32) are scalars or, with `axis`, vectors along that axis.
    `threshold` acts on encoding only; half the scale gives the nearest value. It lies below the
    scale, so that ternary values encode to themselves. Source: Li et al., Ternary weight networks,
    2016, eq. 3: threshold 0.7 times the mean of |x|, scale the mean of what lies above it.
    """

    kind: ClassVar[str] = "ternary"

    scale: Const = field(default_factory=one)
    threshold: Const = field(default_factory=_half)
    axis: int | None = None

    @property
    def code_bits(self) -> int:
        return 2

    @property
    def storage(self) -> str:
        return "int8"

    @property
    def reach(self) -> tuple[int, int]:
        return -1, 1

    def multiples(self, codes: np.ndarray) -> np.ndarray:
        return codes.astype(np.int64)

    def check(self, shape: Shape) -> None:
        """Refuse bad scales, thresholds outside [0, scale), axes that do not fit `shape`."""
        check_scale(self.kind, self.scale, self.axis, shape)
        check_vector(self.kind, "threshold", self.threshold, self.axis, shape)
        low = self.threshold.array
        if not ((low >= 0).all() and (low < self.scale.array).all()):
            raise VerificationError("ternary thresholds must be at least 0 and below the scale")

    def bits(self, shape: Shape, element_bits: int) -> int:
        """Two bits an element and a float32 scale a slice; decoding needs no threshold."""
        return 2 * prod(shape) + self.scale.array.size * 32

    def widths(self, element_bits: int) -> dict[str, int]:
        """Two bits a code."""
        return {"values": 2}

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: int8 of -1, 0 and 1, shaped as `array`."""
        threshold = along(self.threshold, self.axis, array.ndim)
        return {"values": np.where(np.abs(array) > threshold, np.sign(array), 0).astype(np.int8)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """float32 values."""
        signs = parts["values"].reshape(shape).astype(np.float32)
        values: np.ndarray = signs * along(self.scale, self.axis, len(shape))
        return values
