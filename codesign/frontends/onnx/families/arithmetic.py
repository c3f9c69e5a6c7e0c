"""Element-wise operators: arithmetic, comparison, logic, mathematical functions, casts."""

from collections.abc import Callable, Sequence

import numpy as np

from codesign.frontends.onnx.call import Call, Converter, Table
from codesign.frontends.onnx.tensor import NARROW, numpy_dtype, type_name
from codesign.frontends.onnx.value import Value
from codesign.ir.dtype import from_numpy
from codesign.ir.op import Op
from codesign.ir.ops import elementwise, logic, unary
from codesign.ir.ops.cast import Cast


def plain(op: Callable[[], Op]) -> Converter:
    """A converter that applies an op without attributes to all inputs."""

    def convert(call: Call) -> Value:
        return call.op(op(), *call.all())

    return convert


def _fold_left(op: Op, values: Sequence[Value], call: Call) -> Value:
    total = values[0]
    for value in values[1:]:
        total = call.op(op, total, value)
    return total


def variadic(op: Callable[[], Op]) -> Converter:
    """A converter that combines any number of inputs from left to right."""

    def convert(call: Call) -> Value:
        return _fold_left(op(), call.all(), call)

    return convert


def mean(call: Call) -> Value:
    """Mean of all inputs."""
    values = call.all()
    total = _fold_left(elementwise.Add(), values, call)
    return call.op(elementwise.Div(), total, call.emit.scalar(len(values), total))


def mod(call: Call) -> Value:
    """Mod: the sign of the divisor, or with fmod that of the dividend."""
    fmod = call.integer("fmod", 0)
    if not fmod and call.x().dtype.is_float:
        raise call.refuse("fmod=0 with floating-point operands", "fmod")
    return call.op(elementwise.Mod(bool(fmod)), *call.all())


def shift(call: Call) -> Value:
    """BitShift."""
    direction = call.text("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise call.refuse(f"direction={direction!r}", "direction")
    return call.op(elementwise.Shift(direction == "LEFT"), *call.all())


def is_inf(call: Call) -> Value:
    """IsInf."""
    positive, negative = call.integer("detect_positive", 1), call.integer("detect_negative", 1)
    return call.op(logic.IsInf(bool(positive), bool(negative)), call.x())


def cast_value(call: Call, x: Value, dtype: np.dtype) -> Value:
    """`x` as elements of `dtype`; itself if it has them already."""
    want = from_numpy(dtype)
    if x.array is not None and x.width is not None and x.dtype is want:
        return call.emit.constant(x.array, x.label)  # no longer narrow
    return x if x.dtype is want else call.op(Cast(str(want)), x)


def cast(call: Call) -> Value:
    """Cast to the element type `to`."""
    call.ignore("saturate", "round_mode")  # these matter for 8-bit floats only
    element = call.integer("to")
    if element in NARROW:
        raise call.refuse(f"to={type_name(element)}", "to")
    dtype = numpy_dtype(element, f"the result of Cast (attribute 'to') {call.node.name!r}")
    return cast_value(call, call.x(), dtype)


def cast_like(call: Call) -> Value:
    """CastLike: the element type of the second input."""
    call.ignore("saturate", "round_mode")
    if call.x(1).width is not None:
        raise call.refuse(f"a result of {call.x(1).width} bits")
    return cast_value(call, call.x(0), call.x(1).dtype.numpy)


def identity(call: Call) -> Value:
    """The input itself: no op."""
    return call.x()


def dropout(call: Call) -> Sequence[Value | None]:
    """Dropout, which does nothing in inference; its mask is all true."""
    call.ignore("seed", "ratio")
    if call.get(2) is not None and call.array(2, "training_mode").any():
        raise call.refuse("training_mode is set", "training_mode")
    x = call.x()
    if call.wanted < 2:
        return [x]
    kind = np.dtype(bool) if call.version >= 10 else x.dtype.numpy
    return [x, call.emit.constant(np.ones(x.shape, kind))]


def pow_value(call: Call) -> Value:
    """Pow: the exponent may have another element type."""
    return call.op(elementwise.Pow(), *call.all())


UNARY = {
    "Abs": unary.Abs,
    "Acos": unary.Acos,
    "Acosh": unary.Acosh,
    "Asin": unary.Asin,
    "Asinh": unary.Asinh,
    "Atan": unary.Atan,
    "Atanh": unary.Atanh,
    "Ceil": unary.Ceil,
    "Cos": unary.Cos,
    "Cosh": unary.Cosh,
    "Erf": unary.Erf,
    "Exp": unary.Exp,
    "Floor": unary.Floor,
    "IsNaN": logic.IsNan,
    "Log": unary.Log,
    "Neg": unary.Neg,
    "Not": logic.Not,
    "BitwiseNot": logic.Not,
    "Reciprocal": unary.Reciprocal,
    "Round": unary.Round,
    "Sign": unary.Sign,
    "Sin": unary.Sin,
    "Sinh": unary.Sinh,
    "Sqrt": unary.Sqrt,
    "Tan": unary.Tan,
}
BINARY = {
    "Add": elementwise.Add,
    "And": logic.And,
    "BitwiseAnd": logic.And,
    "BitwiseOr": logic.Or,
    "BitwiseXor": logic.Xor,
    "Div": elementwise.Div,
    "Equal": logic.Equal,
    "Greater": logic.Greater,
    "GreaterOrEqual": logic.GreaterEqual,
    "Less": logic.Less,
    "LessOrEqual": logic.LessEqual,
    "Mul": elementwise.Mul,
    "Or": logic.Or,
    "Sub": elementwise.Sub,
    "Where": logic.Where,
    "Xor": logic.Xor,
}
TABLE: Table = {
    **{name: {7: plain(op)} for name, op in (UNARY | BINARY).items()},
    "BitShift": {7: shift},
    "Cast": {7: cast},
    "CastLike": {7: cast_like},
    "Dropout": {7: dropout},
    "Identity": {7: identity},
    "IsInf": {7: is_inf},
    "Max": {7: variadic(elementwise.Maximum)},
    "Mean": {7: mean},
    "Min": {7: variadic(elementwise.Minimum)},
    "Mod": {7: mod},
    "Pow": {7: pow_value},
    "Sum": {7: variadic(elementwise.Add)},
}
