"""Operands of an op as torch tensors, and small checks that many ops share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codesign.errors import VerificationError
from codesign.ir.dtype import DType
from codesign.ir.op import Op, refuse
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CARRIERS = {
    DType.BOOL: "bool",
    DType.U8: "uint8",
    DType.U16: "int32",
    DType.U32: "int64",
    DType.U64: "int64",
    DType.I8: "int8",
    DType.I16: "int16",
    DType.I32: "int32",
    DType.I64: "int64",
    DType.F16: "float16",
    DType.F32: "float32",
    DType.F64: "float64",
}


def carrier(dtype: DType) -> "torch.dtype":
    """The torch dtype that holds elements of `dtype`.

    torch computes little on wide unsigned integers, so u16 is carried as int32 and u32 and u64 as
    int64; the interpreter reduces results modulo 2^16 and 2^32.
    """
    import torch

    found: torch.dtype = getattr(torch, _CARRIERS[dtype])
    return found


def given(inputs: Sequence["Tensor | None"], position: int) -> "Tensor":
    """Operand number `position`, which must be there."""
    found = inputs[position] if position < len(inputs) else None
    if found is None:
        raise VerificationError(f"operand {position} is absent")
    return found


def maybe(inputs: Sequence["Tensor | None"], position: int) -> "Tensor | None":
    """Operand number `position`, or None where it is absent."""
    return inputs[position] if position < len(inputs) else None


def maybe_type(inputs: Sequence[TensorType | None], position: int) -> TensorType | None:
    """Type of operand number `position`, or None where it is absent."""
    return inputs[position] if position < len(inputs) else None


def check_axis(op: Op, axis: int, rank: int, *types: TensorType) -> None:
    """Raise unless 0 <= axis < rank."""
    if not 0 <= axis < rank:
        raise refuse(op, f"needs an axis in 0..{rank - 1}, not {axis}", *types)


def check_axes(op: Op, axes: Sequence[int], rank: int, *types: TensorType) -> None:
    """Raise unless `axes` ascend strictly within 0..rank-1."""
    if list(axes) != sorted(set(axes)) or any(not 0 <= axis < rank for axis in axes):
        raise refuse(op, f"needs ascending axes in 0..{rank - 1}, not {tuple(axes)}", *types)


def check_shape(op: Op, role: str, shape: Sequence[int], found: TensorType | None) -> None:
    """Raise unless the operand `role`, if present, has `shape`."""
    if found is not None and found.shape != tuple(shape):
        raise refuse(op, f"needs {role} of shape {tuple(shape)}", found)


def check_float(op: Op, *types: TensorType) -> None:
    """Raise unless all `types` are floating point."""
    if any(not t.dtype.is_float for t in types):
        raise refuse(op, "needs floating-point operands", *types)


def check_integer(op: Op, *types: TensorType) -> None:
    """Raise unless all `types` are integers."""
    if any(not t.dtype.is_integer for t in types):
        raise refuse(op, "needs integer operands", *types)


def pick(op: Op, what: str, value: str, known: Sequence[str]) -> None:
    """Raise unless the string attribute `what` is one of `known`."""
    if value not in known:
        raise VerificationError(f"{op.kind} knows {what} {', '.join(known)}, not {value!r}")
