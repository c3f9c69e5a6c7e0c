"""Tensor trains: a matrix stored as a chain of small cores."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Factors, Parts, Shape
from codesign.ir.encodings.sparse import view


@dataclass(frozen=True)
class TT(Factors):
    """The 2-D view (axis 0, the rest flattened) as a chain of cores [r, rows, columns, r'].

    `modes` are the (rows, columns) of each core, the first the slowest index; their products are
    the extents of the view. `ranks` are the inner ranks, one fewer. With rows or columns 1 this is
    the train of a plain tensor: a kernel [O, I, H, W] has modes ((O, 1), (1, I), (1, H), (1, W)).
    `values` is all cores in order, flattened, scaled to the same largest magnitude. Sources:
    Oseledets, Tensor-train decomposition, 2011, algorithm 1; Novikov et al., Tensorizing neural
    networks, 2015, section 3 (matrices).
    """

    kind: ClassVar[str] = "tt"
    positional: ClassVar[int] = 2

    modes: tuple[tuple[int, int], ...] = ((1, 1),)
    ranks: tuple[int, ...] = ()

    def check(self, shape: Shape) -> None:
        """Refuse modes that do not multiply to the view and ranks that no matrix can have."""
        sizes = tuple(prod(mode[i] for mode in self.modes) for i in (0, 1))
        if not self.modes or sizes != view(shape) or prod(sizes) == 0:
            raise VerificationError(
                f"tt modes {self.modes} make a matrix {sizes}, the tensor {shape} is {view(shape)}"
            )
        if len(self.ranks) != len(self.modes) - 1:
            raise VerificationError(f"tt of {len(self.modes)} modes with {len(self.ranks)} ranks")
        for i, rank in enumerate(self.ranks):
            before = self.shapes()[i][0] * prod(self.modes[i])
            bound = min(before, prod(prod(mode) for mode in self.modes[i + 1 :]))
            if not 1 <= rank <= bound:
                raise VerificationError(f"tt rank {rank} after core {i} is outside 1..{bound}")

    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Shape [rank before, rows, columns, rank after] of each core."""
        ranks = (1, *self.ranks, 1)
        return tuple((ranks[i], *mode, ranks[i + 1]) for i, mode in enumerate(self.modes))

    def entries(self, shape: Shape) -> int:
        """Entries of all cores."""
        return sum(prod(core) for core in self.shapes())

    def cores(self, values: np.ndarray) -> list[np.ndarray]:
        """The cores of the flat vector `values`."""
        sizes = [prod(shape) for shape in self.shapes()]
        parts = np.split(values.reshape(-1), np.cumsum(sizes)[:-1])
        return [part.reshape(s) for part, s in zip(parts, self.shapes(), strict=True)]

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: float32 vector of the cores' entries, found by TT-SVD."""
        if not np.isfinite(array).all():
            raise VerificationError("tt cannot factorize a tensor that is not finite")
        left = self._interleave(array.astype(np.float64))
        cores = []
        for *before, rank in self.shapes()[:-1]:
            u, s, vt = np.linalg.svd(left.reshape(prod(before), -1), full_matrices=False)
            cores.append(u[:, :rank])
            left = s[:rank, None] * vt[:rank]
        return {"values": _balance([*cores, left])}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """The contraction of the cores, float32."""
        whole = np.ones((1, 1))
        for core in self.cores(parts["values"].astype(np.float64)):
            whole = whole.reshape(-1, core.shape[0]) @ core.reshape(core.shape[0], -1)
        dense = whole.reshape([extent for mode in self.modes for extent in mode])
        count = len(self.modes)
        order = [2 * i for i in range(count)] + [2 * i + 1 for i in range(count)]
        return np.ascontiguousarray(dense.transpose(order)).reshape(shape).astype(np.float32)

    def _interleave(self, array: np.ndarray) -> np.ndarray:
        """[rows 0, columns 0, rows 1, columns 1, ...] of the view."""
        count = len(self.modes)
        split = array.reshape([mode[i] for i in (0, 1) for mode in self.modes])
        return split.transpose([i + count * side for i in range(count) for side in (0, 1)])


def _balance(cores: list[np.ndarray]) -> np.ndarray:
    """The cores in one float32 vector, scaled so that their largest magnitudes are equal."""
    peaks = np.array([np.abs(core).max() for core in cores])
    if (peaks > 0).all():
        shared = np.exp(np.log(peaks).mean())
        cores = [core * (shared / peak) for core, peak in zip(cores, peaks, strict=True)]
    return np.concatenate([core.reshape(-1) for core in cores]).astype(np.float32)
