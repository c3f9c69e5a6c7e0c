"""How values lie in memory: physical shapes, element types, and constants packed to them."""

import numpy as np

from codesign.ir.encoding import encode
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.types import TensorType


def physical_shape(kind: TensorType) -> tuple[int, ...]:
    """Shape of the buffer that holds a value; a scalar takes one element.

    Packed codes lie as `kernels.bits` has them: planes instead of tiles, bytes instead of channels.
    """
    layout = kind.layout
    shape = layout.physical(kind.shape) if layout else kind.shape
    if layout is not None and layout.packed and kind.grid is not None:
        planes = kind.grid.code_bits
        return (*shape[: layout.axis], planes, *shape[layout.axis + 1 : -1], layout.tile // 8)
    return shape or (1,)


def physical_dtype(kind: TensorType) -> str:
    """Element type of the buffer that holds a value."""
    if kind.layout is not None and kind.layout.packed:
        return "uint8"
    return kind.grid.storage if kind.grid else kind.dtype.numpy.name


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
