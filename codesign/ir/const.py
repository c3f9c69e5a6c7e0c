"""Read-only constants, shared between graphs and compared by content."""

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt


class Const:
    """A read-only array. Equality and hash are those of its dtype, shape and bytes."""

    def __init__(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> None:
        value = np.array(array, dtype=dtype, copy=True, order="C")
        value.setflags(write=False)
        self.array: np.ndarray = value

    @classmethod
    def share(cls, array: np.ndarray) -> "Const":
        """Wrap `array` without a copy; the caller gives up writing to it."""
        const = cls.__new__(cls)
        view = np.asarray(array, order="C").view()
        view.setflags(write=False)
        const.array = view
        return const

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of dtype, shape and content."""
        header = f"{self.array.dtype.str}{self.array.shape}".encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.array).tobytes()).hexdigest()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    def tolist(self) -> Sequence[float] | float:
        """The content as nested Python lists, or a number for a scalar."""
        content: Sequence[float] | float = self.array.tolist()
        return content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const):
            return NotImplemented
        return self is other or (
            self.array.dtype == other.array.dtype
            and self.array.shape == other.array.shape
            and self.digest == other.digest
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        if self.array.size <= 4:
            return f"Const({self.tolist()})"
        return f"Const({self.array.dtype}{list(self.shape)}, {self.digest[:12]})"
