"""Element-wise ops as TIR expressions of one element, vectorized by the loop around them."""

from collections.abc import Callable
from math import inf
from typing import Any

from tvm import tirx

from codesign.ir.op import Op
from codesign.ir.ops.activation import Clip

Expr = Any
Lowering = Callable[[Any, list[Expr]], Expr]


def dtype_of(x: Expr) -> str:
    """Element type of a TIR expression."""
    return str(x.ty.dtype)


def number(value: float, like: Expr) -> Expr:
    """The constant `value` in the element type of `like`."""
    return tirx.const(value, dtype_of(like))


def _clip(op: Clip, x: list[Expr]) -> Expr:
    y = x[0]
    y = y if op.low == -inf else tirx.max(y, number(op.low, y))
    return y if op.high == inf else tirx.min(y, number(op.high, y))


SCALAR: dict[str, Lowering] = {
    "add": lambda op, x: x[0] + x[1],
    "sub": lambda op, x: x[0] - x[1],
    "mul": lambda op, x: x[0] * x[1],
    "relu": lambda op, x: tirx.max(x[0], number(0, x[0])),
    "clip": _clip,
    "relayout": lambda op, x: x[0],
}


def lowered(op: Op, operands: list[Expr]) -> Expr:
    """The value of element-wise `op` over scalar `operands`."""
    return SCALAR[op.kind](op, operands)
