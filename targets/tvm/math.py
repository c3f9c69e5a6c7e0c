"""Elementary functions of float32 as expressions that vectorize: no call, no branch, no table.

LLVM turns its own exp, tanh or log of a vector into one library call an element. These follow the
shape of Cephes (Moshier, "Methods and Programs for Mathematical Functions", 1989): reduce the range
exactly, a polynomial on what is left (coefficients fitted here for the least largest error), put
the exponent back through the bits. Each states its bound in units in the last place (ulp), over all
float32 including denormals; infinities and NaN give what IEEE 754 arithmetic would.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from codesign.targets.tvm.tir import dtype_of, lanes_of, multiply_add, splat

Expr = Any

_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP = (
    0.4999999403953552,
    0.1666652113199234,
    0.04166838899254799,
    0.0083687175065279,
    0.0013814596459269524,
)
_LOG = (
    0.33333316445350647,
    -0.25000810623168945,
    0.2000228613615036,
    -0.16624553501605988,
    0.14181196689605713,
    -0.13128767907619476,
    0.12881621718406677,
    -0.07859545946121216,
)
_TANH = (
    -0.3333328366279602,
    0.13331490755081177,
    -0.05374349653720856,
    0.020650578662753105,
    -0.005717036779969931,
)
_ERF = (
    0.12837915122509003,
    -0.37612494826316833,
    0.11281802505254745,
    -0.02676556631922722,
    0.00499098002910614,
    -0.000597689300775528,
)
_ERF_TAIL = (
    0.128514364361763,
    0.6357182860374451,
    0.10526187717914581,
    -0.022889986634254456,
    0.00321496301330626,
    -0.00021398592798504978,
)


def bind(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """body(v) where v names `value`, so that it is computed once however often it is used."""
    if isinstance(value, tirx.Var | tirx.IntImm | tirx.FloatImm):
        return body(value)
    var = tirx.Var("v", str(value.ty.dtype))
    return tirx.Let(var, value, body(var))


def number(value: float, like: Expr) -> Expr:
    """The constant `value` in the element type and lanes of `like`."""
    return splat(tirx.const(value, dtype_of(like)), lanes_of(like))


def at_least(x: Expr, low: float) -> Expr:
    """max(x, low); NaN stays NaN."""
    return tirx.max(number(low, x), x)


def at_most(x: Expr, high: float) -> Expr:
    """min(x, high); NaN stays NaN."""
    return tirx.min(number(high, x), x)


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """c[0] + c[1] x + c[2] x^2 + ... by Horner's rule."""
    total = number(coefficients[-1], x)
    for c in reversed(coefficients[:-1]):
        total = multiply_add(total, x, number(c, x))
    return total


def _integer(x: Expr) -> Expr:
    return x.astype(_like(x, "int32"))


def _like(x: Expr, dtype: str) -> str:
    return dtype if lanes_of(x) == 1 else f"{dtype}x{lanes_of(x)}"


def _bits(x: Expr) -> Expr:
    return tirx.reinterpret(_like(x, "int32"), x)


def _float(bits: Expr) -> Expr:
    return tirx.reinterpret(_like(bits, "float32"), bits)


def _power_of_two(n: Expr) -> Expr:
    """2^n for integers -126 <= n <= 127."""
    return _float((n + number(127, n)) << number(23, n))


def _reduced(x: Expr, body: Callable[[Expr, Expr], Expr]) -> Expr:
    """body(n, e^r - 1) where x = n ln 2 + r, |r| <= ln 2 / 2, for -104 <= x <= 89."""

    def expand(n: Expr) -> Expr:
        high = multiply_add(n, number(-_LN2_HIGH, n), x)
        low = multiply_add(n, number(-_LN2_LOW, n), high)
        return bind(low, lambda r: body(n, multiply_add(r * r, polynomial(r, _EXP), r)))

    return bind(tirx.nearbyint(x * number(1.4426950408889634, x)), expand)


def _scaled(n: Expr, fraction: Expr) -> Expr:
    """fraction * 2^n for -151 <= n <= 129, in two steps so that each is a normal number."""

    def halves(whole: Expr) -> Expr:
        return bind(
            whole >> number(1, whole),
            lambda half: fraction * _power_of_two(half) * _power_of_two(whole - half),
        )

    return bind(_integer(n), halves)


def exp(x: Expr) -> Expr:
    """e^x within 2 ulp."""
    bounded = at_most(at_least(x, -104.0), 89.0)
    return bind(
        bounded,
        lambda y: _reduced(y, lambda n, rest: _scaled(n, rest + number(1, rest))),
    )


def exp_negative(x: Expr) -> Expr:
    """e^x within 2 ulp for x <= 0; 0 below -87.3, where it is less than 1.2e-38."""

    def flushed(x: Expr) -> Expr:
        bounded = at_least(x, -87.3)
        value = bind(bounded, lambda y: _reduced(y, _scaled_normal))
        return tirx.Select(x < number(-87.3, x), number(0, x), value)

    return bind(x, flushed)


def _scaled_normal(n: Expr, rest: Expr) -> Expr:
    return (rest + number(1, rest)) * _power_of_two(_integer(n))


def expm1_negative(x: Expr) -> Expr:
    """e^x - 1 for x <= 0, within 3 ulp."""

    def assemble(n: Expr, rest: Expr) -> Expr:
        scale = _power_of_two(_integer(n))
        return bind(scale, lambda s: multiply_add(s, rest, s - number(1, s)))

    # e^-30 is far below half a unit in the last place of 1.
    bounded = at_least(x, -30.0)
    return bind(bounded, lambda y: _reduced(y, assemble))


def log(x: Expr) -> Expr:
    """The natural logarithm within 2 ulp: x = m 2^e with sqrt(1/2) <= m < sqrt(2)."""

    def split(y: Expr) -> Expr:
        denormal = y < number(1.17549435e-38, y)
        grown = tirx.Select(denormal, y * number(float(1 << 23), y), y)
        shift = tirx.Select(denormal, number(-23.0, y), number(0.0, y))
        return bind(_bits(grown), lambda bits: _log_of_bits(bits, shift, y))

    return bind(x, split)


def _log_of_bits(bits: Expr, shift: Expr, x: Expr) -> Expr:
    # Adding the distance from sqrt(1/2) to 1 makes the exponent field switch at sqrt(2).
    moved = bits + number(0x3F800000 - 0x3F3504F3, bits)

    def assemble(moved: Expr) -> Expr:
        exponent = (moved >> number(23, moved)) - number(127, moved)
        mantissa = (moved & number(0x007FFFFF, moved)) + number(0x3F3504F3, moved)
        e = exponent.astype(_like(bits, "float32")) + shift
        return bind(_float(mantissa) - number(1, x), lambda f: bind(e, lambda e: _log_sum(f, e)))

    value = bind(moved, assemble)
    infinity = number(float("inf"), x)
    value = tirx.Select(x < infinity, value, x)  # inf, and NaN by the comparison's being false
    value = tirx.Select(x > number(0, x), value, number(float("-inf"), x))
    return tirx.Select(x >= number(0, x), value, number(float("nan"), x))


def _log_sum(f: Expr, e: Expr) -> Expr:
    """log(1 + f) + e ln 2, small terms first."""

    def terms(z: Expr) -> Expr:
        small = f * z * polynomial(f, _LOG)
        small = multiply_add(e, number(_LN2_LOW, e), small)
        small = multiply_add(z, number(-0.5, z), small)
        return multiply_add(e, number(_LN2_HIGH, e), f + small)

    return bind(f * f, terms)


def log1p_unit(y: Expr) -> Expr:
    """log(1 + y) for 0 <= y <= 1, within 3 ulp (Kahan: the rounding of 1 + y is put back)."""

    def correct(y: Expr) -> Expr:
        return bind(y + number(1, y), lambda u: log(u) + (y - (u - number(1, u))) / u)

    return bind(y, correct)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x) within 4 ulp; 0 below -87.3."""

    def both(x: Expr) -> Expr:
        e = exp_negative(number(0, x) - magnitude(x))
        return bind(
            e, lambda e: tirx.Select(x >= number(0, x), number(1, e), e) / (e + number(1, e))
        )

    return bind(x, both)


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent within 3 ulp: a polynomial near 0, 1 - 2 / (e^2|x| + 1) beyond."""

    def both(x: Expr) -> Expr:
        near = bind(x * x, lambda z: multiply_add(x * z, polynomial(z, _TANH), x))
        return tirx.Select(magnitude(x) < number(0.625, x), near, far(x))

    def far(x: Expr) -> Expr:
        # e^-2|x| keeps the argument of the exponential in its cheap range.
        e = exp_negative(number(-2, x) * magnitude(x))
        value = bind(e, lambda e: (number(1, e) - e) / (number(1, e) + e))
        return with_sign(value, x)

    return bind(x, both)


def erf(x: Expr) -> Expr:
    """The error function within 3 ulp: x (1 + P(x^2)) near 0, 1 - e^-q(|x|) beyond."""

    def both(x: Expr) -> Expr:
        near = bind(x * x, lambda z: multiply_add(x, polynomial(z, _ERF), x))
        return tirx.Select(magnitude(x) < number(0.925, x), near, far(x))

    def far(x: Expr) -> Expr:
        bounded = at_most(magnitude(x), 4.0)

        def tail(t: Expr) -> Expr:
            exponent = multiply_add(t, polynomial(t, _ERF_TAIL), t)
            return number(1, t) - exp_negative(number(0, t) - exponent)

        return with_sign(bind(bounded, tail), x)

    return bind(x, both)


def magnitude(x: Expr) -> Expr:
    """|x| by clearing the sign bit."""
    bits = _bits(x)
    return _float(bits & number(0x7FFFFFFF, bits))


def with_sign(value: Expr, sign: Expr) -> Expr:
    """`value`, which is not negative, with the sign of `sign`."""
    bits, from_ = _bits(value), _bits(sign)
    return _float(bits | (from_ & number(-0x80000000, from_)))
