"""Element-wise aten ops."""

from math import inf, log

import torch
from torch import fx

from codesign.frontends.torch_ops.call import Call, Result, ir_dtype
from codesign.ir.dtype import DType
from codesign.ir.op import Op
from codesign.ir.ops import activation, elementwise, logic, unary


def _binary(call: Call, op: Op) -> str:
    """`self op other`, both as the result's element type."""
    dtype = call.result.dtype
    return call.emit(op, call.number("self", dtype), call.number("other", dtype))


def _scaled(call: Call) -> str:
    """`alpha * other` as the result's element type."""
    dtype, other = call.result.dtype, call.number("other", call.result.dtype)
    alpha = call.get("alpha", 1)
    if alpha == 1:
        return other
    return call.emit(elementwise.Mul(), other, call.scalar(alpha, dtype, "alpha"), part="scaled")


def add(call: Call) -> Result:
    """self + alpha * other; on truth values it is `or`."""
    if call.result.dtype is DType.BOOL:
        return _binary(call, logic.Or())
    return call.emit(elementwise.Add(), call.number("self", call.result.dtype), _scaled(call))


def sub(call: Call) -> Result:
    """self - alpha * other."""
    return call.emit(elementwise.Sub(), call.number("self", call.result.dtype), _scaled(call))


def rsub(call: Call) -> Result:
    """other - alpha * self."""
    call.arguments["self"], call.arguments["other"] = call.get("other"), call.get("self")
    return sub(call)


def mul(call: Call) -> Result:
    """self * other; on truth values it is `and`."""
    op = logic.And() if call.result.dtype is DType.BOOL else elementwise.Mul()
    return _binary(call, op)


def div(call: Call) -> Result:
    """self / other, true, truncated or floored."""
    mode, dtype = call.get("rounding_mode"), call.result.dtype
    if dtype.is_integer:
        if mode != "trunc":
            raise call.refuse("rounds an integer division down, which no op does")
        return _binary(call, elementwise.Div())
    if mode is None:
        return _binary(call, elementwise.Div())
    operands = call.number("self", dtype), call.number("other", dtype)
    exact = call.emit(elementwise.Div(), *operands, part="exact")
    return call.emit(unary.Floor() if mode == "floor" else unary.Trunc(), exact)


def floor_divide(call: Call) -> Result:
    """The quotient rounded down."""
    call.arguments["rounding_mode"] = "floor"
    return div(call)


def power(call: Call) -> Result:
    """self to the power of a number or tensor."""
    if call.get("exponent") == 2 and call.get("exponent") is not True:
        return square(call)
    dtype = call.result.dtype
    return call.emit(elementwise.Pow(), call.number("self", dtype), call.number("exponent", dtype))


def square(call: Call) -> Result:
    """self * self."""
    x = call.cast(call.value(), call.result.dtype)
    return call.emit(elementwise.Mul(), x, x)


def clamp(call: Call) -> Result:
    """Between bounds that are numbers (clip) or tensors (min and max)."""
    low, high, dtype = call.get("min"), call.get("max"), call.result.dtype
    numbers = all(bound is None or isinstance(bound, (int, float)) for bound in (low, high))
    x = call.cast(call.value(), dtype)
    if numbers:
        bounds = float(-inf if low is None else low), float(inf if high is None else high)
        return call.emit(activation.Clip(*bounds), x)
    if low is not None:
        x = call.emit(elementwise.Maximum(), x, call.number("min", dtype))
    return x if high is None else call.emit(elementwise.Minimum(), x, call.number("max", dtype))


def hardtanh(call: Call) -> Result:
    """Between min_val and max_val."""
    return call.emit(
        activation.Clip(float(call.get("min_val")), float(call.get("max_val"))), call.value()
    )


def relu6(call: Call) -> Result:
    """Between 0 and 6."""
    return call.emit(activation.Clip(0.0, 6.0), call.value())


def comparison(call: Call, op: Op) -> Result:
    """self against other, both as the type that torch promotes them to."""
    dtype = promoted(call)
    return call.emit(op, call.number("self", dtype), call.number("other", dtype))


def promoted(call: Call) -> DType:
    """The element type in which torch compares `self` and `other`."""
    a, b = (arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in call.node.args[:2])
    return ir_dtype(torch.result_type(a, b), call.name)  # type: ignore[arg-type]


def not_equal(call: Call) -> Result:
    """self != other."""
    dtype = promoted(call)
    same = call.emit(
        logic.Equal(), call.number("self", dtype), call.number("other", dtype), part="equal"
    )
    return call.emit(logic.Not(), same)


def logical(call: Call, op: Op) -> Result:
    """A connective of truth values: non-zero is true."""
    return call.emit(op, call.number("self", DType.BOOL), call.number("other", DType.BOOL))


def logical_not(call: Call) -> Result:
    """not self."""
    return call.emit(logic.Not(), call.cast(call.value(), DType.BOOL))


def where(call: Call) -> Result:
    """self where the condition holds, else other."""
    dtype = call.result.dtype
    return call.emit(
        logic.Where(),
        call.cast(call.value("condition"), DType.BOOL),
        call.number("self", dtype),
        call.number("other", dtype),
    )


def masked_fill(call: Call) -> Result:
    """value where the mask holds, else self."""
    dtype = call.result.dtype
    return call.emit(
        logic.Where(),
        call.cast(call.value("mask"), DType.BOOL),
        call.number("value", dtype),
        call.number("self", dtype),
    )


def addcmul(call: Call) -> Result:
    """self + value * tensor1 * tensor2."""
    return _multiply_add(call, elementwise.Mul())


def addcdiv(call: Call) -> Result:
    """self + value * tensor1 / tensor2."""
    return _multiply_add(call, elementwise.Div())


def _multiply_add(call: Call, op: Op) -> str:
    dtype = call.result.dtype
    operands = call.number("tensor1", dtype), call.number("tensor2", dtype)
    product = call.emit(op, *operands, part="product")
    factor = call.get("value", 1)
    if factor != 1:
        scale = call.scalar(factor, dtype, "value")
        product = call.emit(elementwise.Mul(), product, scale, part="scaled")
    return call.emit(elementwise.Add(), call.number("self", dtype), product)


def lerp(call: Call) -> Result:
    """self + weight * (end - self)."""
    dtype = call.result.dtype
    x, end = call.number("self", dtype), call.number("end", dtype)
    step = call.emit(elementwise.Sub(), end, x, part="step")
    part = call.emit(elementwise.Mul(), step, call.number("weight", dtype), part="part")
    return call.emit(elementwise.Add(), x, part)


def function(call: Call, op: Op) -> Result:
    """A function of `self` in the result's element type."""
    return call.emit(op, call.cast(call.value(), call.result.dtype))


def log_base(call: Call, base: float) -> Result:
    """The logarithm to another base."""
    dtype = call.result.dtype
    natural = call.emit(unary.Log(), call.cast(call.value(), dtype), part="log")
    return call.emit(elementwise.Mul(), natural, call.scalar(1 / log(base), dtype))


def log1p(call: Call) -> Result:
    """log(1 + self)."""
    dtype = call.result.dtype
    one = call.scalar(1, dtype)
    return call.emit(unary.Log(), call.emit(elementwise.Add(), call.value(), one, part="one"))


def expm1(call: Call) -> Result:
    """exp(self) - 1."""
    power_of_e = call.emit(unary.Exp(), call.value(), part="exp")
    return call.emit(elementwise.Sub(), power_of_e, call.scalar(1, call.result.dtype))


def rounding(call: Call) -> Result:
    """The nearest integer."""
    if call.get("decimals", 0):
        raise call.refuse("rounds to decimals; only whole numbers are supported")
    return call.value() if call.result.dtype.is_integer else function(call, unary.Round())


def cast(call: Call) -> Result:
    """The same values in the result's element type."""
    return call.cast(call.value(), call.result.dtype)


def same(call: Call) -> Result:
    """The argument itself."""
    return call.value()


def dropout(call: Call) -> Result:
    """Nothing, in inference."""
    if call.get("train") or call.get("training"):
        raise call.refuse("drops values at random; call .eval() on the model first")
    return call.value("input")


def is_inf(call: Call) -> Result:
    """Where self is infinite."""
    return call.emit(logic.IsInf(), call.value())


def is_nan(call: Call) -> Result:
    """Where self is NaN."""
    return call.emit(logic.IsNan(), call.value())


def exp2(call: Call) -> Result:
    """2 to the power of self."""
    dtype = call.result.dtype
    scaled = call.emit(elementwise.Mul(), call.value(), call.scalar(log(2.0), dtype), part="scaled")
    return call.emit(unary.Exp(), scaled)
