"""What integer layers share: operand checks, coded weights, and the end of their accumulators."""

from dataclasses import replace
from typing import Any

import numpy as np

from codesign.analysis.codes import CLAMPS, code_bounds, digits, scale_ratio, sum_scale
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.fixedpoint import fixed_point
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, Value
from codesign.targets.tvm.emitted import Argument
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.integer import decode, encode, requantize
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.requantize import Residual, Scaling
from codesign.targets.tvm.requantize import requantize as requantization
from codesign.targets.tvm.storage import physical_shape

DEEPEST = (1 << 31) // (255 * 127)  # products that a 32-bit accumulator surely holds


def refuse_integer(group: Group) -> Refusal | None:
    """None if the anchor multiplies unsigned 8-bit codes by constant ones without zero points."""
    x, w = group.input_type(0), group.input_type(1)
    ex, ew = None if x is None else x.integer, None if w is None else w.grid
    if w is None or ex is None or ew is None or group.constant(1) is None:
        return Refusal("this kernel computes on 8-bit codes", f"the operands are {x} and {w}")
    if ex.signed or ex.width > 8 or ex.axis is not None:
        return Refusal("activations are unsigned, at most 8 bits, one scale", f"they are {ex}")
    few = not isinstance(ew, Int)
    if ew.axis not in (None, 0) or ew.code_bits > 8 or not (few or _symmetric(ew)):
        return Refusal("weights are signed, symmetric, at most 8 bits", f"they are {ew}")
    depth = w.size // w.shape[0]
    if depth << digits(group.anchor, group.graph.types) > DEEPEST * (127 if few else 1):
        return Refusal(f"sums of at most {DEEPEST} products fit 32 bits", f"this has {depth}")
    return refuse_bias(group, few)


def _symmetric(form: Grid) -> bool:
    return isinstance(form, Int) and form.signed and form.symmetric


def refuse_bias(group: Group, floats: bool) -> Refusal | None:
    """None if the anchor has no bias, a constant one in codes or, if `floats`, in floats."""
    bias = group.input_type(2)
    if bias is None or (group.constant(2) is not None and (floats or bias.integer is not None)):
        return None
    return Refusal("the bias is a constant in 32-bit codes", f"it is {bias}")


def multiples(group: Group) -> np.ndarray:
    """int64 multiples of the scale that the anchor's weight is made of."""
    weight, kind = group.constant(1), group.input_type(1)
    assert weight is not None and kind is not None and kind.grid is not None
    return kind.grid.multiples(kind.grid.encode(weight.array)["values"])


def weight_codes(group: Group) -> np.ndarray:
    """The same as int8."""
    return multiples(group).astype(np.int8)


def bias_codes(group: Group) -> np.ndarray:
    """int64 bias by output channel, in units of the `accumulator`; 0 if it is in floats."""
    bias, kind = group.constant(2), group.input_type(2)
    if bias is None or kind is None or kind.grid is None:
        return np.zeros(group.anchor_type.shape[_axis(group)], np.int64)
    return kind.grid.encode(bias.array)["values"].astype(np.int64)


def offsets(group: Group) -> np.ndarray:
    """The same, less the input's zero point times the sum of weights."""
    x, codes = group.input_type(0), multiples(group)
    assert x is not None and x.integer is not None
    sums: np.ndarray = codes.reshape(codes.shape[0], -1).sum(axis=1)
    lost = int(x.integer.zero.array) * sums << digits(group.anchor, group.graph.types)
    total: np.ndarray = bias_codes(group) - lost
    return total


def float_bias(group: Group) -> np.ndarray | None:
    """The bias by output channel, if it is in floats."""
    bias, kind = group.constant(2), group.input_type(2)
    return None if bias is None or kind is None or kind.grid is not None else bias.array


def _axis(group: Group) -> int:
    """The axis of the anchor's output channels."""
    return 1 if group.anchor.kind == "conv" else group.anchor_type.rank - 1


def accumulator(group: Group) -> Int:
    """The encoding of the anchor's 32-bit sums."""
    from codesign.ir.const import Const

    scale = sum_scale(group.anchor, group.graph.types)
    axis = _axis(group)
    return Int(ACCUMULATOR_BITS, Const(scale, "float32"), axis=axis if scale.ndim else None)


def finish(
    group: Group, isa: Isa, channels: int, addend: np.ndarray | None = None
) -> tuple[Epilogue, list[Argument]]:
    """The epilogue of an integer layer with `channels` physical channels, and its arguments.

    `addend` is what its accumulators lack by channel, int64: `offsets` if they are sums of codes.
    """
    if addend is None:
        epilogue, arguments = finish(group, isa, channels, offsets(group))
        return _finer(epilogue, digits(group.anchor, group.graph.types)), arguments
    direct = None if float_bias(group) is not None else _direct(group)
    if direct is None:
        return _general(group, addend)
    return _requantized(group, direct, isa, channels, addend)


def _finer(epilogue: Epilogue, shift: int) -> Epilogue:
    """`epilogue` on accumulators that are counted 2^shift times too coarsely."""
    if not shift:
        return epilogue

    def apply(acc: Any, index: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
        from tvm import tirx

        from codesign.targets.tvm.tir import lanes_of, splat

        factor = splat(tirx.const(1 << shift, "int32"), lanes_of(acc))
        return epilogue.apply(acc * factor, index, buffers)

    return replace(epilogue, apply=apply, interleaved=None)


def _general(group: Group, addend: np.ndarray) -> tuple[Epilogue, list[Argument]]:
    chain = Chain(group)
    acc, out, bias = accumulator(group), group.anchor_type.grid, float_bias(group)
    add = chain.channels(addend.astype(np.int32), acc.axis or 1)

    def total(env: object) -> object:
        return env.acc + add(env)  # type: ignore[attr-defined, arg-type]

    start: Value = total
    if bias is not None or not isinstance(out, Int):
        start = _biased(chain, decode(chain, total, acc), bias, _axis(group))
        start = start if out is None else encode(chain, start, out)
    elif out != acc:
        start = requantize(chain, [(total, acc)], out)
    return chain.epilogue(start), chain.arguments


def _biased(chain: Chain, value: Value, bias: np.ndarray | None, axis: int) -> Value:
    """`value` and a bias by channel, in floats."""
    if bias is None:
        return value
    add = chain.channels(bias, axis)
    return lambda env: value(env) + add(env)


def clamp_bounds(group: Group, start: int = 0) -> tuple[int, int] | None:
    """The codes that the chain leaves from node `start` on, if all it does is clamp them."""
    out = group.output_type.integer
    if out is None or out.width > 8 or out.axis is not None:
        return None
    low, high = out.low, out.high
    for node in group.chain[start:]:
        if group.type(node.name).integer != out or node.kind not in CLAMPS:
            return None
        bounds = code_bounds(node, out)
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return (low, high) if low <= high else None


def _direct(group: Group) -> tuple[Int, str | None, tuple[int, int]] | None:
    """(result, residual, code bounds) if the chain is [residual add] [clamps], else None."""
    adds = bool(group.chain) and group.chain[0].kind == "add"
    bounds, out = clamp_bounds(group, int(adds)), group.output_type.integer
    if bounds is None or out is None:
        return None
    if not adds:
        return (out, None, bounds) if group.anchor_type.integer == out else None
    residual = next((v for v in group.chain[0].operands if v != group.anchor.name), None)
    if residual is None or group.type(group.chain[0].name).integer != out:
        return None
    kind = group.type(residual)
    whole = residual in group.variables and kind.shape == group.output_type.shape
    same = kind.layout == group.output_type.layout
    if not (whole and same and kind.integer and group.anchor_type.integer == accumulator(group)):
        return None
    return out, residual, bounds


def _requantized(
    group: Group,
    direct: tuple[Int, str | None, tuple[int, int]],
    isa: Isa,
    channels: int,
    addend: np.ndarray,
) -> tuple[Epilogue, list[Argument]]:
    out, name, (low, high) = direct
    ratios = [scale_ratio(accumulator(group), out)]
    other = None if name is None else group.type(name).integer
    if other is not None:
        ratios.append(scale_ratio(other, out))
    fixed = fixed_point(ratios)
    scaling = Scaling(
        addend,
        fixed.multipliers[0],
        fixed.shift,
        int(out.zero.array),
        low,
        high,
        out.storage,
    )
    residual = None
    if other is not None and name is not None:
        kind = group.type(name)
        residual = Residual(
            physical_shape(kind), int(other.zero.array), fixed.multipliers[1], other.storage
        )
    made = requantization(scaling, channels, isa, residual)
    arguments: list[Argument] = list(made.constants.values())
    if name is not None:
        arguments.append(name)
    return made.epilogue, arguments
