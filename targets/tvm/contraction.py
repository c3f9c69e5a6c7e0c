"""What integer layers share: operand checks, coded weights, and the end of their accumulators."""

import numpy as np

from codesign.analysis.codes import CLAMPS, code_bounds, scale_ratio
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.fixedpoint import fixed_point
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, Value
from codesign.targets.tvm.emitted import Argument
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.integer import decode, requantize
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.requantize import Residual, Scaling
from codesign.targets.tvm.requantize import requantize as requantization
from codesign.targets.tvm.storage import physical_shape

DEEPEST = (1 << 31) // (255 * 127)  # products that a 32-bit accumulator surely holds


def refuse_integer(group: Group) -> Refusal | None:
    """None if the anchor multiplies unsigned 8-bit codes by symmetric constant ones."""
    x, w = group.input_type(0), group.input_type(1)
    ex, ew = (t.integer if t is not None else None for t in (x, w))
    if w is None or ex is None or ew is None or group.constant(1) is None:
        return Refusal("this kernel computes on 8-bit codes", f"the operands are {x} and {w}")
    if ex.signed or ex.width > 8 or ex.axis is not None:
        return Refusal("activations are unsigned, at most 8 bits, one scale", f"they are {ex}")
    if not ew.signed or ew.width > 8 or not ew.symmetric or ew.axis not in (None, 0):
        return Refusal("weights are signed, symmetric, at most 8 bits", f"they are {ew}")
    depth = w.size // w.shape[0]
    if depth > DEEPEST:
        return Refusal(f"sums of at most {DEEPEST} products fit 32 bits", f"this has {depth}")
    bias = group.input_type(2)
    if bias is not None and (bias.integer is None or group.constant(2) is None):
        return Refusal("the bias is a constant in 32-bit codes", f"it is {bias}")
    return None


def weight_codes(group: Group) -> np.ndarray:
    """The codes of the anchor's weight, int8."""
    weight, kind = group.constant(1), group.input_type(1)
    assert weight is not None and kind is not None and kind.integer is not None
    return kind.integer.encode(weight.array)["values"].astype(np.int8)


def bias_codes(group: Group) -> np.ndarray:
    """int64 bias by output channel, less the input's zero point times the sum of weights."""
    x = group.input_type(0)
    assert x is not None and x.integer is not None
    codes = weight_codes(group).astype(np.int64)
    sums = codes.reshape(codes.shape[0], -1).sum(axis=1)
    total: np.ndarray = -int(x.integer.zero.array) * sums
    bias, kind = group.constant(2), group.input_type(2)
    if bias is not None and kind is not None and kind.integer is not None:
        total = total + kind.integer.encode(bias.array)["values"].astype(np.int64)
    return total


def accumulator(group: Group) -> Int:
    """The encoding of the anchor's 32-bit sums."""
    from codesign.ir.const import Const

    x, w = group.input_type(0), group.input_type(1)
    assert x is not None and w is not None and x.integer is not None and w.integer is not None
    scale = x.integer.scale.array * w.integer.scale.array
    axis = 1 if group.anchor.kind == "conv" else group.anchor_type.rank - 1
    return Int(ACCUMULATOR_BITS, Const(scale, "float32"), axis=axis if scale.ndim else None)


def finish(group: Group, isa: Isa, channels: int) -> tuple[Epilogue, list[Argument]]:
    """The epilogue of an integer layer with `channels` physical channels, and its arguments."""
    direct = _direct(group)
    return _general(group) if direct is None else _requantized(group, direct, isa, channels)


def _general(group: Group) -> tuple[Epilogue, list[Argument]]:
    chain = Chain(group)
    acc, out = accumulator(group), group.anchor_type.integer
    add = chain.channels(bias_codes(group).astype(np.int32), acc.axis or 1)

    def total(env: object) -> object:
        return env.acc + add(env)  # type: ignore[attr-defined, arg-type]

    start: Value = total
    if out is None:
        start = decode(chain, total, acc)
    elif out != acc:
        start = requantize(chain, [(total, acc)], out)
    return chain.epilogue(start), chain.arguments


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
    group: Group, direct: tuple[Int, str | None, tuple[int, int]], isa: Isa, channels: int
) -> tuple[Epilogue, list[Argument]]:
    out, name, (low, high) = direct
    ratios = [scale_ratio(accumulator(group), out)]
    other = None if name is None else group.type(name).integer
    if other is not None:
        ratios.append(scale_ratio(other, out))
    fixed = fixed_point(ratios)
    scaling = Scaling(
        bias_codes(group),
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
