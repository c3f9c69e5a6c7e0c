"""Nodes of a chain whose values are stored as integers; the meaning is `interpret.integer`'s.

Codes are int32 expressions here; only the end of the chain narrows them to what is stored.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.analysis.codes import CLAMPS, addable, clampable, code_bounds, scale_ratio
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.fixedpoint import fixed_point
from codesign.ir.graph import Node
from codesign.targets.tvm.scalar import lowered

if TYPE_CHECKING:
    from codesign.targets.tvm.chain import Chain, Value

Expr = Any


def int32(x: Expr) -> Expr:
    """`x` widened to int32."""
    from tvm import tirx

    return tirx.Cast("int32", x)


def lower_integer(chain: "Chain", node: Node, inputs: list["Value"]) -> "Value":
    """The result of `node`: int32 codes if its type is encoded, else float32."""
    out = laid(chain, node.name)
    encodings = [laid(chain, v) for v in node.operands]
    constant = any(v in chain.group.graph.constants for v in node.operands)
    coded = [e for e in encodings if isinstance(e, Int)]
    exact = len(coded) == len(encodings) and not constant
    if exact and isinstance(out, Int) and node.kind in CLAMPS and clampable(node, out):
        return _clamp(chain, node, inputs[0], coded[0], out)
    if exact and isinstance(out, Int) and node.kind == "add" and addable(coded, out):
        terms = [(_centred(v, e), e) for v, e in zip(inputs, coded, strict=True)]
        return requantize(chain, terms, out)
    decoded = [
        value if e is None or v in chain.group.graph.constants else decode(chain, value, e)
        for v, value, e in zip(node.operands, inputs, encodings, strict=True)
    ]

    def result(env: Any) -> Expr:
        return lowered(node.op, [value(env) for value in decoded])

    return result if out is None else encode(chain, result, out)


def laid(chain: "Chain", value: str) -> Grid | None:
    """The encoding of `value` in codes, if it has one, its axis counted in the chain's result."""
    kind = chain.group.type(value)
    form = kind.grid
    if form is None or form.axis is None or not isinstance(form, Int | Binary | Ternary):
        return form
    return replace(form, axis=form.axis + chain.out.rank - kind.rank)


def _centred(value: "Value", encoding: Int) -> "Value":
    zero = int(encoding.zero.array.reshape(-1)[0])
    return value if zero == 0 else lambda env: value(env) - zero


def _clamp(chain: "Chain", node: Node, value: "Value", source: Int, out: Int) -> "Value":
    from tvm import tirx

    low, high = code_bounds(node, out)
    if source != out:
        value = requantize(chain, [(_centred(value, source), source)], out)

    def clamped(env: Any) -> Expr:
        x = value(env)
        x = x if low <= out.low else tirx.max(x, tirx.const(low, "int32"))
        return x if high >= out.high else tirx.min(x, tirx.const(high, "int32"))

    return clamped


def requantize(chain: "Chain", terms: list[tuple["Value", Int]], out: Int) -> "Value":
    """Codes of the sum of centred `terms` in encoding `out`, rounded once."""
    from tvm import tirx

    fixed = fixed_point([scale_ratio(e, out) for _, e in terms])
    axis = next((e.axis for _, e in terms if e.axis is not None), 0)
    multipliers = [chain.channels(m.astype(np.int64), axis) for m in fixed.multipliers]
    shift = chain.channels(fixed.shift.astype(np.int64), axis)
    half = np.left_shift(np.int64(1), fixed.shift.astype(np.int64) - 1)
    rounding = chain.channels(np.asarray(half), axis)
    zero = int(out.zero.array)

    def codes(env: Any) -> Expr:
        total = rounding(env)
        for (value, _), multiplier in zip(terms, multipliers, strict=True):
            total = total + tirx.Cast("int64", value(env)) * multiplier(env)
        x = (total >> shift(env)) + tirx.const(zero, "int64")
        low, high = (tirx.const(bound, "int64") for bound in (out.low, out.high))
        return int32(tirx.max(tirx.min(x, high), low))

    return codes


def decode(chain: "Chain", value: "Value", encoding: Grid) -> "Value":
    """float32(multiple of the code) * scale."""
    from tvm import tirx

    multiple = _centred(value, encoding) if isinstance(encoding, Int) else value
    if isinstance(encoding, Binary):

        def multiple(env: Any) -> Expr:
            return value(env) * 2 - 1

    scale = chain.channels(encoding.scale.array, encoding.axis or 0)
    return lambda env: tirx.Cast("float32", multiple(env)) * scale(env)


def encode(chain: "Chain", value: "Value", encoding: Grid) -> "Value":
    """The int32 codes of floats, as `encoding` defines them."""
    if isinstance(encoding, Int):
        return _rounded(chain, value, encoding)
    from tvm import tirx

    one, none = tirx.const(1, "int32"), tirx.const(0, "int32")
    if isinstance(encoding, Binary):
        return lambda env: tirx.Select(value(env) >= 0, one, none)
    assert isinstance(encoding, Ternary)
    threshold = chain.channels(encoding.threshold.array, encoding.axis or 0)

    def codes(env: Any) -> Expr:
        x, least = value(env), threshold(env)
        return tirx.Select(x > least, one, tirx.Select(-x > least, -one, none))

    return codes


def _rounded(chain: "Chain", value: "Value", encoding: Int) -> "Value":
    """clamp(rint(x / scale) + zero), clamped before the conversion."""
    from tvm import tirx

    scale = chain.channels(encoding.scale.array, encoding.axis or 0)
    zero = int(encoding.zero.array.reshape(-1)[0])

    def codes(env: Any) -> Expr:
        rounded = tirx.nearbyint(value(env) / scale(env))
        low, high = (
            tirx.const(float(bound - zero), "float32") for bound in (encoding.low, encoding.high)
        )
        return int32(tirx.max(tirx.min(rounded, high), low)) + tirx.const(zero, "int32")

    return codes


def narrowed(value: "Value", out: Grid) -> "Value":
    """int32 codes as the stored type of `out`."""
    from tvm import tirx

    if out.code_bits == ACCUMULATOR_BITS:
        return value
    return lambda env: tirx.Cast(out.storage, value(env))
