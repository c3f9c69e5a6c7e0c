"""TensorProto to numpy, checked: sizes before allocation, NaN and infinity in weights."""

from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from codesign.errors import InvalidModelError, UnsupportedModelError
from codesign.frontends.onnx.external import read_external

MAX_TENSOR_BYTES = 1 << 34
NUMPY: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.BOOL: "bool",
}
NARROW: dict[int, tuple[int, bool]] = {  # width, signed
    TensorProto.INT4: (4, True),
    TensorProto.UINT4: (4, False),
    TensorProto.INT2: (2, True),
    TensorProto.UINT2: (2, False),
}
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


def type_name(element: int) -> str:
    """ONNX's name of an element type, or its number."""
    known: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    return known.get(element, str(element))


def numpy_dtype(element: int, what: str) -> np.dtype:
    """numpy dtype of an ONNX element type; UnsupportedModelError naming `what` if there is none."""
    if element in NARROW:
        return np.dtype("int8" if NARROW[element][1] else "uint8")
    if element not in NUMPY:
        known = ", ".join(type_name(number) for number in (*NUMPY, *NARROW))
        raise UnsupportedModelError(
            f"{what} has element type {type_name(element)}; supported are {known}"
        )
    return np.dtype(NUMPY[element])


def width_of(element: int) -> int | None:
    """Bits of an element type that is narrower than the numpy dtype holding it, else None."""
    return NARROW[element][0] if element in NARROW else None


def to_array(tensor: TensorProto, folder: Path | None, what: str) -> np.ndarray:
    """The content of `tensor`, read-only; errors name `what`."""
    dtype = numpy_dtype(tensor.data_type, what)
    shape, count = checked_shape(tensor, dtype, what)
    if tensor.HasField("segment"):
        raise UnsupportedModelError(f"{what} is stored in segments; store it whole")
    narrow = NARROW.get(tensor.data_type)
    stored = -(-count * narrow[0] // 8) if narrow else count * dtype.itemsize
    if tensor.data_location == TensorProto.EXTERNAL:
        flat = _from_raw(read_external(tensor, folder, stored), dtype, narrow, count)
    elif tensor.HasField("raw_data"):
        if len(tensor.raw_data) != stored:
            raise InvalidModelError(
                f"{what} holds {len(tensor.raw_data)} bytes of raw data, its shape "
                f"{list(shape)} of {type_name(tensor.data_type)} needs {stored}"
            )
        flat = _from_raw(tensor.raw_data, dtype, narrow, count)
    else:
        flat = _from_fields(tensor, dtype, narrow, count, what)
    flat.setflags(write=False)
    return flat.reshape(shape)


def checked_shape(tensor: TensorProto, dtype: np.dtype, what: str) -> tuple[tuple[int, ...], int]:
    """Shape and element count; refused if negative, of rank over 64 or over 16 GiB."""
    shape = tuple(tensor.dims)
    if any(extent < 0 for extent in shape) or len(shape) > 32:
        raise InvalidModelError(f"{what} has the impossible shape {list(shape)[:8]}")
    count = prod(shape)
    if count * dtype.itemsize > MAX_TENSOR_BYTES:
        raise InvalidModelError(
            f"{what} of shape {list(shape)} would take {count * dtype.itemsize / 2**30:.0f} GiB; "
            f"the limit is {MAX_TENSOR_BYTES >> 30} GiB"
        )
    return shape, count


def _from_raw(
    raw: bytes, dtype: np.dtype, narrow: tuple[int, bool] | None, count: int
) -> np.ndarray:
    if narrow:
        return _unpack(np.frombuffer(raw, "uint8"), narrow, dtype)[:count]
    if dtype == np.bool_:
        return np.frombuffer(raw, "uint8").astype(np.bool_)
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False)


def _unpack(packed: np.ndarray, narrow: tuple[int, bool], dtype: np.dtype) -> np.ndarray:
    """Codes of 2 or 4 bits, low ones first, as one byte each."""
    width, signed = narrow
    mask = (1 << width) - 1
    codes = np.stack([(packed >> shift) & mask for shift in range(0, 8, width)], axis=-1)
    codes = codes.reshape(-1).astype(np.int16)
    if signed:
        codes = np.where(codes > mask >> 1, codes - mask - 1, codes)
    unpacked: np.ndarray = codes.astype(dtype)
    return unpacked


def _from_fields(
    tensor: TensorProto, dtype: np.dtype, narrow: tuple[int, bool] | None, count: int, what: str
) -> np.ndarray:
    content = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    expected = -(-count * narrow[0] // 8) if narrow else count
    if len(content) != expected:
        raise InvalidModelError(
            f"{what} holds {len(content)} elements, its shape {list(tensor.dims)} needs {expected}"
        )
    if narrow:
        return _unpack(_exact(content, np.dtype("uint8"), what), narrow, dtype)[:count]
    if tensor.data_type == TensorProto.FLOAT16:
        return _exact(content, np.dtype("uint16"), what).view("float16")
    if dtype.kind == "f":
        return np.array(content, dtype)
    return _exact(content, dtype, what)


def _exact(content: object, dtype: np.dtype, what: str) -> np.ndarray:
    """Integers `content` as `dtype`; InvalidModelError if one does not fit."""
    wide = np.array(content, "uint64" if dtype == np.uint64 else "int64")
    if dtype == np.bool_:
        return wide.astype(np.bool_)
    bounds = np.iinfo(dtype)
    if wide.size and (wide.min() < bounds.min or wide.max() > bounds.max):
        raise InvalidModelError(f"{what} holds a value that does not fit its type {dtype}")
    return wide.astype(dtype)


def check_finite(array: np.ndarray, what: str) -> None:
    """InvalidModelError if a weight is NaN or infinite.

    A scalar may be infinite (a bound of Clip), and so may a mask, whose finite elements are all 0;
    what layers read may not (see `codesign.frontends.finite`).
    """
    if array.dtype.kind != "f" or array.size == 0 or np.isfinite(array).all():
        return
    nans = int(np.isnan(array).sum())
    finite = array[np.isfinite(array)]
    if not nans and (array.size == 1 or not finite.any()):
        return
    first = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
    where = ", ".join(str(int(index)) for index in first)
    raise InvalidModelError(
        f"{what} holds {nans} NaN and {array.size - finite.size - nans} infinite values, the "
        f"first at [{where}]; expected finite weights: training or export likely failed"
    )


def element_types() -> dict[int, str]:
    """The ONNX element types that can be imported, by number."""
    return {number: type_name(number) for number in (*NUMPY, *NARROW)}


def proto_dtype(dtype: np.dtype) -> int:
    """The ONNX element type of a numpy dtype."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))
