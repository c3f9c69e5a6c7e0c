"""How values lie in memory: physical shapes, element types, and constants packed to them."""

import numpy as np

from codesign.ir.encoding import encode
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.types import TensorType


def physical_shape(kind: TensorType) -> tuple[int, ...]:
    """Shape of the buffer that holds a value; a scalar takes one element."""
    shape = kind.layout.physical(kind.shape) if kind.layout else kind.shape
    return shape or (1,)


def physical_dtype(kind: TensorType) -> str:
    """Element type of the buffer that holds a value."""
    return kind.integer.storage if kind.integer else kind.dtype.numpy.name


def physical_bytes(kind: TensorType) -> int:
    """Bytes of the buffer that holds a value."""
    itemsize = np.dtype(physical_dtype(kind)).itemsize
    return int(np.prod(physical_shape(kind), dtype=np.int64)) * itemsize


def packed(array: np.ndarray, kind: TensorType) -> np.ndarray:
    """The buffer content of a constant of logical values `array`."""
    element = tuple(e for e in kind.encodings if e.role in ("element", "layout"))
    return encode(element, array)["values"].reshape(physical_shape(kind))


def aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`shape` with ones in front up to `rank` axes, as broadcasting reads it."""
    return (1,) * (rank - len(shape)) + shape


def tile_constant(array: np.ndarray, rank: int, layout: Tiled | None) -> np.ndarray:
    """A constant operand of a chain, aligned to `rank` and tiled like the chain where it varies."""
    whole = array.reshape(aligned(array.shape, rank))
    if layout is None or whole.shape[layout.axis] == 1:
        return np.ascontiguousarray(whole)
    return layout.encode(whole)["values"]
