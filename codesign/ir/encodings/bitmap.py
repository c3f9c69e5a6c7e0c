"""A bit an element says whether it is stored."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from codesign.ir.encoding import Parts, Shape, Structure
from codesign.ir.encodings.sparse import check_count, largest, positions


@dataclass(frozen=True)
class Bitmap(Structure):
    """`nnz` elements in row-major order and a mask of one bit for each element of the tensor.

    `values` [nnz]; `mask` (uint8 of 0 and 1), shaped as the tensor. Smaller than `csr` as long as
    more than one element in `index_bits` is stored. Source: Gondimalla et al., SparTen, 2019,
    section 3.1.
    """

    kind: ClassVar[str] = "bitmap"

    nnz: int = 0

    def check(self, shape: Shape) -> None:
        """Refuse more elements than the tensor has."""
        check_count(self.kind, "elements", self.nnz, prod(shape))

    def bits(self, shape: Shape, element_bits: int) -> int:
        """Elements and mask."""
        return self.nnz * element_bits + prod(shape)

    def widths(self, element_bits: int) -> dict[str, int]:
        """Bits of an element and of the mask."""
        return {"values": element_bits, "mask": 1}

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The `nnz` elements of largest magnitude."""
        return largest(array, self.nnz)

    def encode(self, array: np.ndarray) -> Parts:
        """`values` and `mask`."""
        flat = array.reshape(-1)
        where = positions(flat != 0, self.nnz, "elements")
        mask = np.zeros(flat.shape, np.uint8)
        mask[where] = 1
        return {"values": flat[where], "mask": mask.reshape(array.shape)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """The dense tensor."""
        whole = np.zeros(shape, parts["values"].dtype)
        whole[parts["mask"].reshape(shape).astype(bool)] = parts["values"]
        return whole
