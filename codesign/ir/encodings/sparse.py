"""What the structures share: the 2-D view of a tensor, and choosing and filling positions."""

from math import prod

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Shape


def view(shape: Shape) -> tuple[int, int]:
    """Rows (axis 0) and columns (the other axes, flattened); a vector is one row."""
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


def most(score: np.ndarray, count: int) -> np.ndarray:
    """Mask of the `count` highest scores along the last axis, the first among equals."""
    order = np.argsort(-score, axis=-1, kind="stable")
    mask = np.zeros(score.shape, bool)
    np.put_along_axis(mask, order[..., :count], True, axis=-1)
    return mask


def largest(array: np.ndarray, count: int) -> np.ndarray:
    """Mask of the `count` elements of largest magnitude, all nonzeros if there is room.

    The first are taken among equals, as in `most`, but in linear time.
    """
    nonzero: np.ndarray = array != 0
    if np.count_nonzero(nonzero) <= count or count == 0:
        return nonzero & (count > 0)
    size: np.ndarray = np.abs(array).reshape(-1)
    limit = np.partition(size, size.size - count)[size.size - count]
    mask: np.ndarray = size > limit
    mask[np.flatnonzero(size == limit)[: count - np.count_nonzero(mask)]] = True
    return mask.reshape(array.shape)


def positions(used: np.ndarray, count: int, what: str) -> np.ndarray:
    """`count` ascending positions of the vector `used`: all true ones, then the first false ones.

    VerificationError if more than `count` are true.
    """
    taken = np.flatnonzero(used)
    if taken.size > count:
        raise VerificationError(f"{taken.size} {what} are not zero, but there is room for {count}")
    spare = np.flatnonzero(~used)[: count - taken.size]
    return np.sort(np.concatenate([taken, spare]))


def pointers(rows: np.ndarray, count: int) -> np.ndarray:
    """int32 [count + 1]: where each row starts among the ascending row numbers `rows`."""
    ends = np.cumsum(np.bincount(rows, minlength=count))
    return np.concatenate([[0], ends]).astype(np.int32)


def index_type(bits: int) -> np.dtype:
    """The unsigned numpy dtype that holds `bits` bits."""
    return np.dtype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def check_count(kind: str, what: str, count: int, room: int) -> None:
    """Raise unless 0 <= count <= room."""
    if not 0 <= count <= room:
        raise VerificationError(f"{kind} stores {count} {what}, but the tensor has {room}")


def check_index(kind: str, bits: int, columns: int) -> None:
    """Raise unless column numbers below `columns` fit `bits` bits, 1 to 32."""
    if not 1 <= bits <= 32 or max(columns - 1, 0) >> bits:
        raise VerificationError(
            f"{kind} column numbers of {bits} bits cannot count {columns} columns; use "
            f"{max(columns - 1, 1).bit_length()} bits (1 to 32)"
        )
