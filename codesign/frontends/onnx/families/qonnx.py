"""QONNX: quantizations of any width as encodings, of constants and of values alike.

Where an encoding rounds like the operator does, the operator is an `encode` node; elsewhere plain
ops in front compute the values that the `encode` node then holds without any change.
Source: Pappalardo et al., QONNX: representing arbitrary-precision quantized neural networks, 2022.
"""

from collections.abc import Callable
from math import inf

import numpy as np

from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families import thresholds
from codesign.frontends.onnx.families.levels import (
    Levels,
    bipolar,
    check_float,
    levels_of,
    parameter,
    scale_of,
    width_of,
)
from codesign.frontends.onnx.value import Value
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.op import Op
from codesign.ir.ops import elementwise, unary
from codesign.ir.ops.activation import Clip

DOMAINS = frozenset({"qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"})


def _by_magnitude(op: Callable[[], Op], shift: float = 0.0) -> Callable[..., Value]:
    """Rounding of magnitudes: sign(x) * op(|x| + shift)."""

    def rounded(call: Call, x: Value) -> Value:
        size = call.op(unary.Abs(), x)
        if shift:
            size = call.op(elementwise.Add(), size, call.emit.scalar(shift, x))
        return call.op(elementwise.Mul(), call.op(unary.Sign(), x), call.op(op(), size))

    return rounded


def _by(op: Callable[[], Op]) -> Callable[..., Value]:
    return lambda call, x: call.op(op(), x)


ROUNDINGS: dict[str, Callable[..., Value]] = {
    "ROUND": _by(unary.Round),
    "HALF_EVEN": _by(unary.Round),
    "CEIL": _by(unary.Ceil),
    "FLOOR": _by(unary.Floor),
    "UP": _by_magnitude(unary.Ceil),
    "DOWN": _by(unary.Trunc),
    "ROUND_TO_ZERO": _by(unary.Trunc),
    "HALF_UP": _by_magnitude(unary.Floor, 0.5),
    "HALF_DOWN": _by_magnitude(unary.Ceil, -0.5),
}


def _rounding(call: Call, default: str) -> str:
    mode = call.text("rounding_mode", default).upper()
    if mode not in ROUNDINGS:
        raise call.refuse(
            f"rounding mode {mode!r}; known are {', '.join(ROUNDINGS)}", "rounding_mode"
        )
    return mode


def _constant(call: Call, array: np.ndarray) -> Value:
    return call.emit.constant(array)


def _limited(call: Call, x: Value, low: np.ndarray, high: np.ndarray) -> Value:
    """`x` between bounds that may vary along its axes; infinite ones are none."""
    if low.ndim == high.ndim == 0:
        return call.op(Clip(float(low), float(high)), x)
    if np.isfinite(low).all():
        x = call.op(elementwise.Maximum(), x, _constant(call, low))
    return call.op(elementwise.Minimum(), x, _constant(call, high)) if high.max() < inf else x


def _computed(call: Call, x: Value, levels: Levels, mode: str) -> Value:
    """What `x` is quantized to, in plain ops."""
    scale, zero = (_constant(call, a) for a in (levels.scale, levels.zero))
    y = call.op(elementwise.Div(), x, scale)
    y = y if levels.centred else call.op(elementwise.Add(), y, zero)
    y = call.op(Clip(float(levels.low), float(levels.high)), y)
    y = ROUNDINGS[mode](call, y)
    y = y if levels.centred else call.op(elementwise.Sub(), y, zero)
    return call.op(elementwise.Mul(), y, scale)


def _held(call: Call, values: np.ndarray, kind: Grid, label: str) -> Value:
    """A constant stored in `kind` if that changes none of `values`, else a plain one."""
    stored = kind.decode(kind.encode(values), values.shape)
    if np.array_equal(stored, values):
        return call.emit.constant(stored, label, kind=kind)
    return call.emit.constant(values, label)


def quant(call: Call) -> Value:
    """Quant and IntQuant. One signed bit means -1 and 1, as tools that execute QONNX have it."""
    x = call.x()
    levels, mode = levels_of(call, x), _rounding(call, "ROUND")
    if levels.width == 1 and levels.signed:
        if not levels.centred:
            raise call.refuse("one signed bit, which stands for -1 and 1, with a zero point")
        return _signs(call, x, levels.scale)
    if levels.low == levels.high:
        raise call.refuse("one bit in narrow range, which leaves the level 0 alone", "narrow")
    kind = levels.encoding(call, x.shape, x.constant)
    if x.constant:
        values = _computed(call, x, levels, mode).array
        assert values is not None
        return _held(call, values, kind, x.label)
    if mode not in ("ROUND", "HALF_EVEN") or not levels.centred:
        return call.emit.encode(_computed(call, x, levels, mode), kind)
    if levels.narrow:  # the encoding reaches one level further
        low = levels.scale * np.float32(levels.low if levels.signed else -inf)
        high = levels.scale * np.float32(inf if levels.signed else levels.high)
        x = _limited(call, x, low, high)
    return call.emit.encode(x, kind)


def _signs(call: Call, x: Value, scale: np.ndarray) -> Value:
    kind = bipolar(call, scale, x.shape)
    if x.array is None:
        return call.emit.encode(x, kind)
    values = np.where(x.array >= 0, np.float32(1), np.float32(-1)) * scale
    return _held(call, values, kind, x.label)


def bipolar_quant(call: Call) -> Value:
    """BipolarQuant: scale where x >= 0, -scale elsewhere."""
    x = call.x()
    check_float(call, x)
    return _signs(call, x, scale_of(call, 1, x))


def _shifted(call: Call, factor: np.ndarray) -> Value:
    """x in whole numbers of its scale, divided by `factor`, a power of two."""
    x = call.x()
    check_float(call, x)
    if parameter(call, 2, "its zero point").any():
        raise call.refuse("a zero point; values are truncated without one")
    scale = _constant(call, scale_of(call, 1, x))
    y = call.op(unary.Round(), call.op(elementwise.Div(), x, scale))
    return y if (factor == 1).all() else call.op(elementwise.Div(), y, _constant(call, factor))


def trunc(call: Call) -> Value:
    """Trunc, version 1: the lowest bits dropped, the scale as it was. It bounds nothing."""
    bits = [width_of(call, i, ACCUMULATOR_BITS) for i in (3, 4)]
    y = _shifted(call, np.exp2(np.array(bits[0] - bits[1], np.float32)))
    y = ROUNDINGS[_rounding(call, "FLOOR")](call, y)
    return call.op(elementwise.Mul(), y, _constant(call, scale_of(call, 1, call.x())))


def trunc_to(call: Call) -> Value:
    """Trunc, version 2: whole numbers of a scale to those of a coarser one, within a width."""
    x, mode = call.x(), _rounding(call, "FLOOR")
    scale, out = scale_of(call, 1, x), scale_of(call, 4, x)
    width_of(call, 3, ACCUMULATOR_BITS)
    signed, narrow = call.integer("signed", 1) != 0, call.integer("narrow", 0) != 0
    levels = Levels(out, np.zeros_like(out), width_of(call, 5), signed, narrow)
    factor = np.asarray(np.exp2(np.round(np.log2(out / scale))), np.float32)
    y = call.op(Clip(float(levels.low), float(levels.high)), _shifted(call, factor))
    y = call.op(elementwise.Mul(), ROUNDINGS[mode](call, y), _constant(call, out))
    kind = levels.encoding(call, x.shape, x.constant)
    return call.emit.encode(y, kind) if y.array is None else _held(call, y.array, kind, x.label)


TABLE: Table = {
    **thresholds.TABLE,
    "BipolarQuant": {1: bipolar_quant},
    "IntQuant": {1: quant},
    "Quant": {1: quant},
    "Trunc": {1: trunc, 2: trunc_to},
}
