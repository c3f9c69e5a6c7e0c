"""Block sparsity: dense blocks of a matrix, most of which are left out."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Parts, Shape, Structure
from codesign.ir.encodings.csr import POINTER_BITS
from codesign.ir.encodings.sparse import (
    check_count,
    check_index,
    index_type,
    most,
    pointers,
    positions,
    view,
)


@dataclass(frozen=True)
class Block(Structure):
    """`kept` blocks of `shape` (rows, columns) of the 2-D view (axis 0, the rest flattened).

    Blocks at the edges are padded with zeros. `values` [kept, rows, columns], `columns` [kept]
    (block columns of `index_bits` each) and `rows` [block rows + 1] of 32 bits: block row i holds
    the blocks rows[i] to rows[i + 1]. Source: Gray et al., GPU kernels for block-sparse weights,
    2017.
    """

    kind: ClassVar[str] = "block"
    positional: ClassVar[int] = 2

    shape: tuple[int, int] = (4, 4)
    kept: int = 0
    index_bits: int = 16

    def grid(self, shape: Shape) -> tuple[int, int]:
        """Number of blocks along rows and columns of a tensor of `shape`."""
        rows, columns = view(shape)
        return -(-rows // self.shape[0]), -(-columns // self.shape[1])

    def check(self, shape: Shape) -> None:
        """Refuse empty blocks, more blocks than there are, columns that do not fit."""
        if min(self.shape) < 1:
            raise VerificationError(f"block shape {self.shape} must be positive")
        rows, columns = self.grid(shape)
        check_count(self.kind, "blocks", self.kept, rows * columns)
        check_index(self.kind, self.index_bits, columns)

    def bits(self, shape: Shape, element_bits: int) -> int:
        """All elements of the kept blocks, padding included, their columns, the row pointers."""
        size = self.shape[0] * self.shape[1]
        pointer_bits = (self.grid(shape)[0] + 1) * POINTER_BITS
        return self.kept * (size * element_bits + self.index_bits) + pointer_bits

    def widths(self, element_bits: int) -> dict[str, int]:
        """Bits of an element, a block column and a pointer."""
        return {"values": element_bits, "columns": self.index_bits, "rows": POINTER_BITS}

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The elements of the `kept` blocks of most energy."""
        energy = np.square(self._cut(array).astype(np.float64)).sum(axis=(1, 2))
        mask = np.broadcast_to(most(energy, self.kept)[:, None, None], (energy.size, *self.shape))
        return self._join(mask, array.shape)

    def encode(self, array: np.ndarray) -> Parts:
        """`values`, `columns` (unsigned) and `rows` (int32)."""
        blocks, (count, width) = self._cut(array), self.grid(array.shape)
        where = positions((blocks != 0).any(axis=(1, 2)), self.kept, "blocks")
        rows, columns = np.divmod(where, max(width, 1))
        return {
            "values": blocks[where],
            "columns": columns.astype(index_type(self.index_bits)),
            "rows": pointers(rows, count),
        }

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """The dense tensor."""
        count, width = self.grid(shape)
        rows = np.repeat(np.arange(count), np.diff(parts["rows"]))
        blocks = np.zeros((count * width, *self.shape), parts["values"].dtype)
        blocks[rows * width + parts["columns"]] = parts["values"].reshape(-1, *self.shape)
        return self._join(blocks, shape)

    def _cut(self, array: np.ndarray) -> np.ndarray:
        """[number of blocks, rows, columns]: the blocks in row-major order."""
        (rows, columns), (count, width) = view(array.shape), self.grid(array.shape)
        pads = (0, count * self.shape[0] - rows), (0, width * self.shape[1] - columns)
        padded = np.pad(array.reshape(rows, columns), pads)
        cut = padded.reshape(count, self.shape[0], width, self.shape[1])
        return cut.transpose(0, 2, 1, 3).reshape(-1, *self.shape)

    def _join(self, blocks: np.ndarray, shape: Shape) -> np.ndarray:
        """Inverse of `_cut` for a tensor of `shape`."""
        (rows, columns), (count, width) = view(shape), self.grid(shape)
        cut = blocks.reshape(count, width, *self.shape).transpose(0, 2, 1, 3)
        whole = cut.reshape(count * self.shape[0], width * self.shape[1])
        return np.ascontiguousarray(whole[:rows, :columns]).reshape(shape)
