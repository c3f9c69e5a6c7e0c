"""Element types of the IR and their numpy counterparts."""

from enum import StrEnum

import numpy as np

from codesign.errors import UnsupportedModelError


class DType(StrEnum):
    """The type of a logical element; the value is its spelling in the text form."""

    BOOL = "bool"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    F16 = "f16"
    F32 = "f32"
    F64 = "f64"

    @property
    def numpy(self) -> np.dtype:
        """The numpy dtype that holds one element."""
        return np.dtype(_NUMPY[self])

    @property
    def bits(self) -> int:
        """Bits that one element takes in memory."""
        return self.numpy.itemsize * 8

    @property
    def is_float(self) -> bool:
        """True for floating-point types."""
        return self in (DType.F16, DType.F32, DType.F64)

    @property
    def is_integer(self) -> bool:
        """True for integer types; bool is none."""
        return not self.is_float and self is not DType.BOOL


_NUMPY = {
    DType.BOOL: "bool",
    DType.U8: "uint8",
    DType.U16: "uint16",
    DType.U32: "uint32",
    DType.U64: "uint64",
    DType.I8: "int8",
    DType.I16: "int16",
    DType.I32: "int32",
    DType.I64: "int64",
    DType.F16: "float16",
    DType.F32: "float32",
    DType.F64: "float64",
}
_FROM_NUMPY = {np.dtype(name): dtype for dtype, name in _NUMPY.items()}


def from_numpy(dtype: np.dtype) -> DType:
    """Return the IR dtype of a numpy dtype; UnsupportedModelError if there is none."""
    found = _FROM_NUMPY.get(np.dtype(dtype))
    if found is None:
        known = ", ".join(_NUMPY.values())
        raise UnsupportedModelError(f"element type {dtype} is not supported; supported: {known}")
    return found
