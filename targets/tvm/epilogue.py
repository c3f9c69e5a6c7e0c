"""What is fused behind a kernel's accumulator: bias, residual, activation, requantization."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Expr = Any  # tvm.tirx.PrimExpr, named without importing tvm
Buffer = Any  # tvm.tirx.Buffer


@dataclass(frozen=True)
class Operand:
    """One extra input buffer of a kernel: its physical shape and dtype.

    `varies` says for each axis of the output buffer how the operand's element depends on it: 0 not
    at all, 1 along with its neighbours, any other number in its own way; empty: 1 on all of them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    varies: tuple[int, ...] = ()


@dataclass(frozen=True)
class Epilogue:
    """How an accumulator becomes the stored element.

    `apply(acc, index, buffers)` builds the scalar TIR expression of the stored element from the
    accumulator, the physical index into the output buffer and the operands' buffers; kernels call
    it inside a vectorized loop over the innermost index, so it must be free of control flow.
    With `vector`, `apply` takes and gives vectors of 16 elements instead: the accumulator is one,
    the last index a ramp of 16. Where there is an `interleaved` it may be called instead for 64
    channels: with four int32x16 whose 128-bit lane l in vector j is channels 4 j to 4 j + 3 of the
    l-th index, an index being that of the first of 16 channels; it gives the 64 elements in order.
    """

    operands: tuple[Operand, ...]
    out_dtype: str
    apply: Callable[[Expr, tuple[Expr, ...], tuple[Buffer, ...]], Expr]
    vector: bool = False
    interleaved: Callable[[list[Expr], list[tuple[Expr, ...]], tuple[Buffer, ...]], Expr] | None = (
        None
    )


def identity(dtype: str) -> Epilogue:
    """The epilogue that stores the accumulator as it is, as `dtype`."""
    return Epilogue((), dtype, lambda acc, index, buffers: acc)
