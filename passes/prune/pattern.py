"""Which weights of a layer go together, and how what is left of them is stored."""

import re
from dataclasses import dataclass

import numpy as np

from codesign.errors import UsageError
from codesign.ir.encoding import Encoding, Shape
from codesign.ir.encodings import NM, Bitmap, Block, Csr
from codesign.ir.encodings.sparse import view

_PATTERN = re.compile(r"(\d+)(:|x)(\d+)\Z")
LONGEST_RUN = 256  # that `nm` stores


@dataclass(frozen=True)
class Blocks:
    """Blocks of the weight seen as a matrix [output, rest]; 1x1 is every weight by itself."""

    rows: int = 1
    columns: int = 1

    def refusal(self, shape: Shape) -> str:
        """Why a weight of `shape` has no such blocks, "" if it has."""
        height, width = view(shape)
        if self.rows <= height and self.columns <= width:
            return ""
        return f"blocks of {self.rows}x{self.columns} are larger than its {height}x{width} matrix"

    def scores(self, weight: np.ndarray) -> np.ndarray:
        """Root mean square of each block, zeros beyond the edges counted in: [rows, columns]."""
        matrix = np.abs(weight.reshape(view(weight.shape)).astype(np.float64))
        if self == Blocks():
            return matrix
        grid = tuple(-(-e // b) for e, b in zip(matrix.shape, self._shape, strict=True))
        short = [(0, g * b - e) for g, b, e in zip(grid, self._shape, matrix.shape, strict=True)]
        cut = np.pad(matrix, short).reshape(grid[0], self.rows, grid[1], self.columns)
        scores: np.ndarray = np.sqrt((cut**2).mean(axis=(1, 3)))
        return scores

    def mask(self, kept: np.ndarray, shape: Shape) -> np.ndarray:
        """True for the weights of a tensor of `shape` that are in the blocks `kept`."""
        height, width = view(shape)
        whole = np.repeat(np.repeat(kept, self.rows, axis=0), self.columns, axis=1)
        return whole[:height, :width].reshape(shape)

    def forms(self, pruned: np.ndarray) -> list[Encoding]:
        """The ways to store a `pruned` weight."""
        if self == Blocks():
            nnz = int(np.count_nonzero(pruned))
            return [Csr(nnz), Bitmap(nnz)]
        return [Block(self._shape, int(np.count_nonzero(self.scores(pruned))))]

    @property
    def _shape(self) -> tuple[int, int]:
        return self.rows, self.columns


@dataclass(frozen=True)
class Runs:
    """At most `n` nonzeros in each run of `m` weights along the input channels."""

    n: int
    m: int

    def refusal(self, shape: Shape) -> str:
        """Why a weight of `shape` has no such runs, "" if it has."""
        short = shape[1] < self.m
        return f"runs of {self.m} are longer than its {shape[1]} input channels" if short else ""

    def keep(self, weight: np.ndarray) -> np.ndarray:
        """True for the `n` weights of largest magnitude in each run, the first among equals."""
        return NM(self.n, self.m).keep(weight)

    def forms(self, pruned: np.ndarray) -> list[Encoding]:
        """The way to store a `pruned` weight."""
        return [NM(self.n, self.m)]


def parse(text: str, who: str) -> Blocks | Runs:
    """`unstructured`, `n:m` or `RxC`; UsageError, naming pass `who`, for anything else."""
    if text == "unstructured":
        return Blocks()
    found = _PATTERN.match(text)
    if found is None:
        raise UsageError(f"{who}: pattern is {text!r}, expected unstructured, n:m or RxC")
    first, second = int(found[1]), int(found[3])
    if first < 1 or second < 1:
        raise UsageError(f"{who}: pattern {text!r} needs positive numbers")
    if found[2] == "x":
        return Blocks(first, second)
    if first >= second:
        raise UsageError(f"{who}: pattern {text!r} keeps everything")
    if second > LONGEST_RUN:
        raise UsageError(f"{who}: pattern {text!r} has runs of more than {LONGEST_RUN}")
    return Runs(first, second)
