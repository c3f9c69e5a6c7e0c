"""Element encodings whose values are whole multiples of a scale."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encoding import Encoding, Role


class Grid(Encoding):
    """value = scale * multiple, with a whole multiple for every code.

    `scale` (float32) is a scalar or, with `axis`, a vector along that axis. Sums of products of
    multiples are exact, which is what datapaths of integers, of signs and of bits compute.
    """

    role: ClassVar[Role] = "element"

    scale: Const
    axis: int | None

    @abstractmethod
    def multiples(self, codes: np.ndarray) -> np.ndarray:
        """int64 multiples of the scale that `codes` (shaped as the tensor) stand for."""

    @property
    @abstractmethod
    def reach(self) -> tuple[int, int]:
        """The least and the greatest multiple."""

    @property
    @abstractmethod
    def code_bits(self) -> int:
        """Bits of a code."""

    @property
    @abstractmethod
    def storage(self) -> str:
        """numpy dtype that holds one unpacked code."""
