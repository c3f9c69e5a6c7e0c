"""Element-wise ops as TIR expressions of one element, vectorized by the loop around them.

float32 uses the functions of `math`, which vectorize; float16 is computed in float32; float64 and
the rare functions (trigonometry, inverses) call the mathematical library element by element.
"""

from collections.abc import Callable
from math import inf, pi, sqrt
from typing import Any

from tvm import tirx

from codesign.ir.dtype import DType
from codesign.ir.op import Op
from codesign.ir.ops.unary import Erf
from codesign.targets.tvm import math
from codesign.targets.tvm.math import at_least, at_most, bind, number
from codesign.targets.tvm.tir import dtype_of

Expr = Any
Lowering = Callable[[Any, list[Expr]], Expr]

__all__ = ["SCALAR", "dtype_of", "lowered", "number", "product"]


def _is_float(x: Expr) -> bool:
    return dtype_of(x).startswith("float")


def _is_bool(x: Expr) -> bool:
    return dtype_of(x) == "bool"


def _function(own: Callable[[Expr], Expr], other: Callable[[Expr], Expr]) -> Lowering:
    """`own` for float32, the library's `other` for float64."""
    return lambda op, x: own(x[0]) if dtype_of(x[0]) == "float32" else other(x[0])


def _named(body: Callable[[Any, Expr], Expr]) -> Lowering:
    """An op of one operand that `body` may use several times."""
    return lambda op, x: bind(x[0], lambda y: body(op, y))


def _exp(x: Expr) -> Expr:
    return math.exp(x) if dtype_of(x) == "float32" else tirx.exp(x)


def _log(x: Expr) -> Expr:
    return math.log(x) if dtype_of(x) == "float32" else tirx.log(x)


def _tanh(x: Expr) -> Expr:
    return math.tanh(x) if dtype_of(x) == "float32" else tirx.tanh(x)


def _erf(x: Expr) -> Expr:
    return math.erf(x) if dtype_of(x) == "float32" else _libm("erf")(Erf(), [x])


def _sigmoid(x: Expr) -> Expr:
    if dtype_of(x) == "float32":
        return math.sigmoid(x)
    return number(1, x) / (number(1, x) + tirx.exp(number(0, x) - x))


def _magnitude(x: Expr) -> Expr:
    if dtype_of(x) == "float32":
        return math.magnitude(x)
    if _is_float(x):
        return tirx.abs(x)
    if dtype_of(x).startswith("uint"):
        return x
    return bind(x, lambda y: tirx.Select(y < number(0, y), number(0, y) - y, y))


def _expm1(x: Expr) -> Expr:
    """e^x - 1 for x <= 0."""
    return math.expm1_negative(x) if dtype_of(x) == "float32" else tirx.exp(x) - number(1, x)


def _softplus(x: Expr) -> Expr:
    e = _exp(number(0, x) - _magnitude(x))
    rest = math.log1p_unit(e) if dtype_of(x) == "float32" else tirx.log(number(1, e) + e)
    return at_least(x, 0) + rest


def _mish(op: Op, x: Expr) -> Expr:
    """tanh(log(1 + w)) = (w^2 + 2 w) / (w^2 + 2 w + 2) with w = e^x, scaled to stay finite."""

    def ratio(e: Expr) -> Expr:
        positive = x >= number(0, x)
        top = tirx.Select(positive, number(1, e) + number(2, e) * e, e * (e + number(2, e)))
        rest = tirx.Select(positive, number(2, e) * e * e, number(2, e))
        return bind(top, lambda top: x * (top / (top + rest)))

    return bind(_exp(number(0, x) - _magnitude(x)), ratio)


def _gelu(op: Any, x: Expr) -> Expr:
    if op.approximate == "tanh":
        inner = number(2 * sqrt(2 / pi), x) * (x + number(0.044715, x) * x * x * x)
        return x * _sigmoid(inner)
    return number(0.5, x) * x * (number(1, x) + _erf(number(sqrt(0.5), x) * x))


def _clip(op: Any, x: list[Expr]) -> Expr:
    y = x[0]
    y = y if op.low == -inf else at_least(y, op.low)
    return y if op.high == inf else at_most(y, op.high)


def _elu(op: Any, x: Expr) -> Expr:
    return tirx.Select(x < number(0, x), number(op.alpha, x) * _expm1(at_most(x, 0)), x)


def _selu(op: Any, x: Expr) -> Expr:
    return number(op.gamma, x) * _elu(op, x)


def _celu(op: Any, x: Expr) -> Expr:
    alpha = number(op.alpha, x)
    return at_least(x, 0) + alpha * _expm1(at_most(x, 0) / alpha)


def _shrink(op: Any, x: Expr) -> Expr:
    low = tirx.Select(x < number(-op.threshold, x), x + number(op.bias, x), number(0, x))
    return tirx.Select(x > number(op.threshold, x), x - number(op.bias, x), low)


def _leaky_relu(op: Any, x: Expr) -> Expr:
    return tirx.Select(x < number(0, x), number(op.alpha, x) * x, x)


def _hard_sigmoid(op: Any, x: list[Expr]) -> Expr:
    y = number(op.alpha, x[0]) * x[0] + number(op.beta, x[0])
    return at_most(at_least(y, 0), 1)


def _hard_swish(op: Any, x: Expr) -> Expr:
    return x * at_most(at_least(x + number(3, x), 0), 6) * number(1 / 6, x)


def _sign(op: Any, x: Expr) -> Expr:
    zero = number(0, x)
    return tirx.Select(x > zero, number(1, x), tirx.Select(x < zero, number(-1, x), zero))


def _divisor(x: Expr) -> Expr:
    """An integer that may be divided by: a zero would stop the process."""
    return bind(x, lambda y: tirx.Select(y == number(0, y), number(1, y), y))


def _div(op: Any, x: list[Expr]) -> Expr:
    if _is_float(x[0]):
        if isinstance(x[1], tirx.FloatImm) and _exact_inverse(x[1].value):
            return x[0] * number(1 / x[1].value, x[0])
        return x[0] / x[1]
    return tirx.truncdiv(x[0], _divisor(x[1]))


def _exact_inverse(value: float) -> bool:
    """True if dividing by `value` is multiplying by its inverse: a power of two."""
    from math import frexp

    return value != 0 and abs(value) < 2.0**100 and abs(frexp(value)[0]) == 0.5


def _pow(op: Any, x: list[Expr]) -> Expr:
    base, exponent = x
    if isinstance(exponent, tirx.FloatImm | tirx.IntImm):
        short = _integer_power(base, float(exponent.value))
        if short is not None:
            return short
    if _is_float(base):
        return _libm("pow")(op, [base, exponent.astype(dtype_of(base))])
    power = _libm("pow")(op, [base.astype("float64"), exponent.astype("float64")])
    return power.astype(dtype_of(base))


def power(base: Expr, exponent: float) -> Expr:
    """A float to a constant power."""
    short = _integer_power(base, exponent)
    return _libm("pow")(None, [base, number(exponent, base)]) if short is None else short


def _integer_power(base: Expr, exponent: float) -> Expr | None:
    if exponent == 0.5 and _is_float(base):
        return tirx.sqrt(base)
    if exponent not in (1, 2, 3, 4):
        return None
    return bind(base, lambda b: product([b] * int(exponent)))


def product(factors: list[Expr]) -> Expr:
    """The product of expressions, left to right."""
    total = factors[0]
    for factor in factors[1:]:
        total = total * factor
    return total


def _mod(op: Any, x: list[Expr]) -> Expr:
    a, b = x
    if not _is_float(a):
        return (tirx.truncmod if op.fmod else tirx.floormod)(a, _divisor(b))
    rest = _libm("fmod")(op, [a, b])
    return rest if op.fmod else bind(b, lambda b: bind(rest, lambda r: _like_divisor(r, b)))


def _like_divisor(rest: Expr, b: Expr) -> Expr:
    zero = number(0, b)
    wrong = tirx.Or(tirx.And(rest < zero, b > zero), tirx.And(rest > zero, b < zero))
    return tirx.Select(wrong, rest + b, rest)


def _extreme(wins: Callable[[Expr, Expr], Expr]) -> Lowering:
    def pick(a: Expr, b: Expr) -> Expr:
        first = tirx.Or(wins(a, b), tirx.isnan(a)) if _is_float(a) else wins(a, b)
        return tirx.Select(first, a, b)

    return lambda op, x: bind(x[0], lambda a: bind(x[1], lambda b: pick(a, b)))


def _logical(truth: Callable[[Expr, Expr], Expr], bits: Callable[[Expr, Expr], Expr]) -> Lowering:
    return lambda op, x: truth(*x) if _is_bool(x[0]) else bits(*x)


def _xor(a: Expr, b: Expr) -> Expr:
    return tirx.Or(tirx.And(a, tirx.Not(b)), tirx.And(tirx.Not(a), b))


def _is_infinite(op: Any, x: Expr) -> Expr:
    high, low = x == number(inf, x), x == number(-inf, x)
    if op.positive and op.negative:
        return tirx.Or(high, low)
    return high if op.positive else tirx.And(low, low) if op.negative else tirx.And(high, low)


def _cast(op: Any, x: list[Expr]) -> Expr:
    want, have = DType(op.dtype).numpy.name, dtype_of(x[0])
    if want == have:
        return x[0]
    if want == "bool":
        return tirx.Not(x[0] == number(0, x[0]))
    if have == "bool":
        return tirx.Select(x[0], tirx.const(1, want), tirx.const(0, want))
    if _is_float(x[0]) and not want.startswith("float"):
        return x[0].astype("int64").astype(want)
    return x[0].astype(want)


def _library(function: Callable[[Expr], Expr]) -> Lowering:
    return lambda op, x: function(x[0])


def _libm(name: str) -> Lowering:
    """The C library's function of that name, called element by element."""

    def call(op: Any, x: list[Expr]) -> Expr:
        dtype = dtype_of(x[0])
        return tirx.call_pure_extern(dtype, name + ("f" if dtype == "float32" else ""), *x)

    return call


SCALAR: dict[str, Lowering] = {
    "add": lambda op, x: x[0] + x[1],
    "sub": lambda op, x: x[0] - x[1],
    "mul": lambda op, x: x[0] * x[1],
    "div": _div,
    "pow": _pow,
    "mod": _mod,
    "min": _extreme(lambda a, b: a < b),
    "max": _extreme(lambda a, b: a > b),
    "shift": lambda op, x: x[0] << x[1] if op.left else x[0] >> x[1],
    "relu": lambda op, x: at_least(x[0], 0),
    "clip": _clip,
    "celu": _named(_celu),
    "elu": _named(_elu),
    "gelu": _named(_gelu),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _named(_hard_swish),
    "leaky_relu": _named(_leaky_relu),
    "mish": _named(_mish),
    "prelu": lambda op, x: bind(x[0], lambda y: tirx.Select(y < number(0, y), x[1] * y, y)),
    "selu": _named(_selu),
    "shrink": _named(_shrink),
    "sigmoid": lambda op, x: _sigmoid(x[0]),
    "silu": _named(lambda op, x: x * _sigmoid(x)),
    "softplus": _named(lambda op, x: _softplus(x)),
    "softsign": _named(lambda op, x: x / (number(1, x) + _magnitude(x))),
    "tanh": lambda op, x: _tanh(x[0]),
    "thresholded_relu": _named(lambda op, x: tirx.Select(x > number(op.alpha, x), x, number(0, x))),
    "abs": lambda op, x: _magnitude(x[0]),
    "ceil": _library(tirx.ceil),
    "erf": lambda op, x: _erf(x[0]),
    "exp": lambda op, x: _exp(x[0]),
    "floor": _library(tirx.floor),
    "log": lambda op, x: _log(x[0]),
    "neg": lambda op, x: x[0] * number(-1, x[0]),
    "reciprocal": lambda op, x: number(1, x[0]) / x[0],
    "round": _library(tirx.nearbyint),
    "rsqrt": lambda op, x: number(1, x[0]) / tirx.sqrt(x[0]),
    "sign": _named(_sign),
    "sqrt": _library(tirx.sqrt),
    "trunc": _library(tirx.trunc),
    "acos": _libm("acos"),
    "acosh": _libm("acosh"),
    "asin": _libm("asin"),
    "asinh": _libm("asinh"),
    "atan": _libm("atan"),
    "atanh": _libm("atanh"),
    "cos": _libm("cos"),
    "cosh": _libm("cosh"),
    "sin": _libm("sin"),
    "sinh": _libm("sinh"),
    "tan": _libm("tan"),
    "and": _logical(tirx.And, lambda a, b: a & b),
    "or": _logical(tirx.Or, lambda a, b: a | b),
    "xor": _logical(_xor, lambda a, b: a ^ b),
    "not": lambda op, x: tirx.Not(x[0]) if _is_bool(x[0]) else tirx.bitwise_not(x[0]),
    "equal": lambda op, x: _xnor(x) if _is_bool(x[0]) else x[0] == x[1],
    "less": lambda op, x: x[0] < x[1],
    "less_equal": lambda op, x: x[0] <= x[1],
    "greater": lambda op, x: x[0] > x[1],
    "greater_equal": lambda op, x: x[0] >= x[1],
    "is_nan": lambda op, x: tirx.isnan(x[0]),
    "is_inf": _named(_is_infinite),
    "where": lambda op, x: tirx.Select(x[0], x[1], x[2]),
    "cast": _cast,
    "decode": lambda op, x: x[0],
    "encode": lambda op, x: x[0],
    "relayout": lambda op, x: x[0],
}

# Kinds that may turn the finite elements that pad a blocked layout into infinities or NaN.
UNSAFE = frozenset(
    [
        "acos",
        "acosh",
        "asin",
        "atan",
        "atanh",
        "cosh",
        "div",
        "exp",
        "log",
        "mod",
        "pow",
        "reciprocal",
        "rsqrt",
        "sinh",
        "sqrt",
        "tan",
    ]
)

# How deeply the forms above nest named values. LLVM's code is generated in a time exponential in
# the sum over a chain: a second or two at 4, ten and more at 6.
NESTING = {
    **dict.fromkeys(("celu", "elu", "exp", "selu"), 1),
    **dict.fromkeys(("erf", "gelu", "log", "mish", "sigmoid", "silu", "tanh"), 2),
    "softplus": 3,
}
MOST_NESTING = 3


def _xnor(x: list[Expr]) -> Expr:
    return tirx.Not(_xor(x[0], x[1]))


def lowered(op: Op, operands: list[Expr]) -> Expr:
    """The value of element-wise `op` over scalar `operands`."""
    if op.kind in ("where", "cast") or all(dtype_of(x) != "float16" for x in operands):
        return SCALAR[op.kind](op, operands)
    widened = [x.astype("float32") if dtype_of(x) == "float16" else x for x in operands]
    result = SCALAR[op.kind](op, widened)
    return result.astype("float16") if dtype_of(result) == "float32" else result
