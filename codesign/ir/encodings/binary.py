"""Two values: +scale and -scale."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encoding import Parts, Shape
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.scale import along, check_scale, one


@dataclass(frozen=True)
class Binary(Grid):
    """One sign bit an element: code 1 is +scale (x >= 0), code 0 is -scale.

    `scale` (float32) is a scalar or, with `axis`, a vector along that axis; the mean of |x| over
    what it covers loses the least energy. Source: Rastegari et al., XNOR-Net, 2016, eq. 6.
    There is no code for 0, so a structure cannot hold these (use `ternary`).
    """

    kind: ClassVar[str] = "binary"

    scale: Const = field(default_factory=one)
    axis: int | None = None

    @property
    def code_bits(self) -> int:
        return 1

    @property
    def storage(self) -> str:
        return "uint8"

    @property
    def reach(self) -> tuple[int, int]:
        return -1, 1

    def multiples(self, codes: np.ndarray) -> np.ndarray:
        signs: np.ndarray = codes.astype(np.int64) * 2 - 1
        return signs

    def check(self, shape: Shape) -> None:
        """Refuse scales that are not positive and axes that do not fit `shape`."""
        check_scale(self.kind, self.scale, self.axis, shape)

    @property
    def zero_is_zero(self) -> bool:
        """Never: code 0 is -scale."""
        return False

    def bits(self, shape: Shape, element_bits: int) -> int:
        """One bit an element and a float32 scale a slice."""
        return prod(shape) + self.scale.array.size * 32

    def widths(self, element_bits: int) -> dict[str, int]:
        """One bit a code."""
        return {"values": 1}

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: uint8 of 0 and 1, shaped as `array`."""
        return {"values": (array >= 0).astype(np.uint8)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """float32 values."""
        signs = parts["values"].reshape(shape).astype(np.float32) * 2 - 1
        values: np.ndarray = signs * along(self.scale, self.axis, len(shape))
        return values
