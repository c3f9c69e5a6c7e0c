"""n of m: at most n nonzeros in each run of m elements along an axis."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Parts, Shape, Structure
from codesign.ir.encodings.sparse import most


@dataclass(frozen=True)
class NM(Structure):
    """`n` stored elements of each run of `m` along `axis`; the last run may be padded with zeros.

    Axis 1, the input channels of a weight, is what is summed over. With `axis` moved last and cut
    into runs, `values` and `positions` are [..., runs, n]; positions within a run ascend and take
    ceil(log2 m) bits each. Source: Mishra et al., Accelerating sparse deep neural networks, 2021
    (2:4).
    """

    kind: ClassVar[str] = "nm"
    positional: ClassVar[int] = 2

    n: int = 2
    m: int = 4
    axis: int = 1

    def check(self, shape: Shape) -> None:
        """Refuse unless 1 <= n <= m <= 256 and the tensor has the axis."""
        if not 1 <= self.n <= self.m <= 256:
            raise VerificationError(f"nm needs 1 <= n <= m <= 256, given {self.n} of {self.m}")
        if not 0 <= self.axis < len(shape):
            raise VerificationError(f"nm axis {self.axis} is outside a tensor of shape {shape}")

    def runs(self, shape: Shape) -> int:
        """Number of runs of a tensor of `shape`."""
        others = 1
        for i, extent in enumerate(shape):
            others *= -(-extent // self.m) if i == self.axis else extent
        return others

    @property
    def position_bits(self) -> int:
        """Bits of a position within a run."""
        return max(1, (self.m - 1).bit_length())

    def bits(self, shape: Shape, element_bits: int) -> int:
        """Elements and positions."""
        return self.runs(shape) * self.n * (element_bits + self.position_bits)

    def widths(self, element_bits: int) -> dict[str, int]:
        """Bits of an element and of its position."""
        return {"values": element_bits, "positions": self.position_bits}

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The `n` elements of largest magnitude of each run."""
        return self._join(most(np.abs(self._cut(array)), self.n), array.shape)

    def encode(self, array: np.ndarray) -> Parts:
        """`values` and `positions` (uint8)."""
        runs = self._cut(array)
        if (np.count_nonzero(runs, axis=-1) > self.n).any():
            raise VerificationError(
                f"a run of {self.m} elements along axis {self.axis} of a tensor of shape "
                f"{array.shape} has more than {self.n} nonzeros"
            )
        where = np.sort(np.argsort(runs == 0, axis=-1, kind="stable")[..., : self.n], axis=-1)
        values = np.take_along_axis(runs, where, axis=-1)
        return {"values": values, "positions": where.astype(np.uint8)}

    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """The dense tensor."""
        runs = np.zeros(self._shape(shape), parts["values"].dtype)
        stored = (*runs.shape[:-1], self.n)
        where = parts["positions"].reshape(stored).astype(np.int64)
        np.put_along_axis(runs, where, parts["values"].reshape(stored), axis=-1)
        return self._join(runs, shape)

    def _shape(self, shape: Shape) -> Shape:
        others = shape[: self.axis] + shape[self.axis + 1 :]
        return (*others, -(-shape[self.axis] // self.m), self.m)

    def _cut(self, array: np.ndarray) -> np.ndarray:
        """[..., runs, m]: `axis` moved last, padded and cut."""
        last = np.moveaxis(array, self.axis, -1)
        short = -last.shape[-1] % self.m
        padded = np.pad(last, [*[(0, 0)] * (last.ndim - 1), (0, short)])
        return padded.reshape(self._shape(array.shape))

    def _join(self, runs: np.ndarray, shape: Shape) -> np.ndarray:
        """Inverse of `_cut` for a tensor of `shape`."""
        *others, count, m = runs.shape
        whole = runs.reshape(*others, count * m)[..., : shape[self.axis]]
        return np.ascontiguousarray(np.moveaxis(whole, -1, self.axis))
