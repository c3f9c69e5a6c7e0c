"""MultiThreshold: how many thresholds a value reaches, scaled and shifted.

Source: Umuroglu et al., FINN: a framework for fast, scalable binarized neural network inference,
2017, section 4.2.2; compilers of QONNX models put it in the place of batch norms and activations.
"""

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.arithmetic import cast_value
from codesign.frontends.onnx.families.levels import WIDEST, check_float, parameter
from codesign.frontends.onnx.families.shape import reshaped
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.ops import elementwise, logic
from codesign.ir.ops.reduce import ReduceSum

LAYOUTS = {2: "NC", 3: "NWC", 4: "NCHW"}  # by rank, where the node names none


def _channel(call: Call, rank: int) -> int:
    """The axis of the channels."""
    layout = call.text("data_layout", "") or LAYOUTS.get(rank, "")
    if "C" not in layout:
        return call.normal(1, rank)
    if len(layout) != rank:
        raise InvalidModelError(f"{describe(call.node)}: layout {layout!r} of a rank-{rank} value")
    return layout.index("C")


def _encoding(count: int, scale: float, bias: float) -> Grid | None:
    """The encoding that holds 0 to `count` times `scale`, plus `bias`, exactly; None if none."""
    if not scale > 0 or not np.isfinite(scale) or count.bit_length() > WIDEST:
        return None
    values = np.float32(scale) * np.arange(count + 1, dtype=np.float32) + np.float32(bias)
    zero = -bias / scale
    kind: Grid
    if count == 1 and zero == 0.5:
        kind = Binary(Const(np.float32(scale / 2)))
    else:
        top = (1 << count.bit_length()) - 1
        point = Const(np.int32(np.clip(np.rint(zero), 0, top)))
        kind = Int(count.bit_length(), Const(np.float32(scale)), point, signed=False)
    held = kind.decode(kind.encode(values), values.shape)
    return kind if np.array_equal(held, values) else None


def multi_threshold(call: Call) -> Value:
    """MultiThreshold: out_scale * (number of thresholds of the channel <= x) + out_bias."""
    x, scale, bias = call.x(), call.number("out_scale", 1.0), call.number("out_bias", 0.0)
    check_float(call, x)
    call.ignore("out_dtype")
    channel, limits = _channel(call, x.rank), parameter(call, 1, "its thresholds")
    limits = limits.reshape(1, 1) if limits.ndim == 0 else limits
    if limits.ndim != 2 or limits.shape[0] not in (1, x.shape[channel]):
        raise InvalidModelError(
            f"{describe(call.node)}: thresholds of shape {list(limits.shape)} for {x.type}, "
            f"expected [{x.shape[channel]} or 1, steps]"
        )
    form = [limits.shape[0] if i == channel else 1 for i in range(x.rank)]
    steps = call.emit.constant(limits.reshape(*form, -1))
    reached = call.op(logic.GreaterEqual(), reshaped(call, x, (*x.shape, 1)), steps)
    one_each = cast_value(call, reached, np.dtype(np.float32))
    y = call.op(ReduceSum((x.rank,), keepdims=False), one_each)
    if scale != 1:
        y = call.op(elementwise.Mul(), y, call.emit.scalar(scale, x))
    if bias:
        y = call.op(elementwise.Add(), y, call.emit.scalar(bias, x))
    kind = _encoding(limits.shape[1], scale, bias)
    return y if kind is None or y.constant else call.emit.encode(y, kind)


TABLE: Table = {"MultiThreshold": {1: multi_threshold}}
