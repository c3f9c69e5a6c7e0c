"""Compressed sparse rows: the stored elements, their columns, and where each row starts."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from codesign.ir.encoding import Parts, Shape, Structure
from codesign.ir.encodings.sparse import (
    check_count,
    check_index,
    index_type,
    largest,
    pointers,
    positions,
    view,
)

POINTER_BITS = 32


@dataclass(frozen=True)
class Csr(Structure):
    """`nnz` elements of the 2-D view (axis 0, the rest flattened), row by row.

    `values` [nnz], `columns` [nnz] of `index_bits` each, `rows` [rows + 1] of 32 bits: row i holds
    the elements rows[i] to rows[i + 1]. Source: Han et al., Deep compression, 2015, section 2.
    """

    kind: ClassVar[str] = "csr"

    nnz: int = 0
    index_bits: int = 16

    def check(self, shape: Shape) -> None:
        """Refuse more elements than the tensor has, and columns that `index_bits` cannot count."""
        check_count(self.kind, "elements", self.nnz, prod(shape))
        check_index(self.kind, self.index_bits, view(shape)[1])

    def bits(self, shape: Shape, element_bits: int) -> int:
        """Elements, columns and row pointers."""
        rows, _ = view(shape)
        return self.nnz * (element_bits + self.index_bits) + (rows + 1) * POINTER_BITS

    def widths(self, element_bits: int) -> dict[str, int]:
        """Bits of an element, a column and a pointer."""
        return {"values": element_bits, "columns": self.index_bits, "rows": POINTER_BITS}

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The `nnz` elements of largest magnitude."""
        return largest(array, self.nnz)

    def encode(self, array: np.ndarray) -> Parts:
        """`values`, `columns` (unsigned) and `rows` (int32)."""
        (count, width), flat = view(array.shape), array.reshape(-1)
        where = positions(flat != 0, self.nnz, "elements")
        rows, columns = np.divmod(where, max(width, 1))
        return {
            "values": flat[where],
            "columns": columns.astype(index_type(self.index_bits)),
            "rows": pointers(rows, count),
        }

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """The dense tensor."""
        (count, width), values = view(shape), parts["values"]
        rows = np.repeat(np.arange(count), np.diff(parts["rows"]))
        flat = np.zeros(prod(shape), values.dtype)
        flat[rows * width + parts["columns"]] = values
        return flat.reshape(shape)
