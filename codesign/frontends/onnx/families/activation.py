"""Activation functions and softmax."""

from collections.abc import Callable
from math import prod

from codesign.frontends.onnx.call import Call, Converter, Table
from codesign.frontends.onnx.families.arithmetic import plain
from codesign.frontends.onnx.value import Value
from codesign.ir.op import Op
from codesign.ir.ops import activation, elementwise, softmax
from codesign.ir.ops.shape import Reshape


def scaled(op: Callable[..., Op], **defaults: float) -> Converter:
    """A converter whose float attributes, with these defaults, are the op's fields in order."""

    def convert(call: Call) -> Value:
        return call.op(op(*(call.number(n, d) for n, d in defaults.items())), call.x())

    return convert


def shrink(call: Call) -> Value:
    """Shrink."""
    bias, threshold = call.number("bias", 0.0), call.number("lambd", 0.5)
    return call.op(activation.Shrink(bias, threshold), call.x())


def gelu(call: Call) -> Value:
    """Gelu, exact or by tanh."""
    approximate = call.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise call.refuse(f"approximate={approximate!r}", "approximate")
    return call.op(activation.Gelu(approximate), call.x())


def swish(call: Call) -> Value:
    """Swish: x * sigmoid(alpha * x)."""
    x, alpha = call.x(), call.number("alpha", 1.0)
    if alpha == 1.0:
        return call.op(activation.Silu(), x)
    inner = call.op(elementwise.Mul(), x, call.emit.scalar(alpha, x))
    return call.op(elementwise.Mul(), x, call.op(activation.Sigmoid(), inner))


def clip_attributes(call: Call) -> Value:
    """Clip before operator set 11: the bounds are attributes."""
    largest = 3.4028234663852886e38
    return call.op(
        activation.Clip(call.number("min", -largest), call.number("max", largest)), call.x()
    )


def clip(call: Call) -> Value:
    """Clip: bounds that are constants become attributes, others two ops."""
    x, low, high = call.x(), call.get(1), call.get(2)
    if (low is None or low.constant) and (high is None or high.constant):
        bounds = {}
        if low is not None:
            bounds["low"] = call.float_of(1, "the lower bound")
        if high is not None:
            bounds["high"] = call.float_of(2, "the upper bound")
        return call.op(activation.Clip(**bounds), x) if bounds else x
    x = x if low is None else call.op(elementwise.Maximum(), x, low)
    return x if high is None else call.op(elementwise.Minimum(), x, high)


def along(op: Callable[[int], Op]) -> Converter:
    """Softmax and its kin from operator set 13 on: along one axis, by default the last."""

    def convert(call: Call) -> Value:
        x = call.x()
        return call.op(op(call.axis(x.rank, default=-1)), x)

    return convert


def along_flat(op: Callable[[int], Op]) -> Converter:
    """Softmax and its kin before operator set 13: over all axes from `axis` on."""

    def convert(call: Call) -> Value:
        x = call.x()
        axis = call.axis(x.rank, default=1)
        if prod(x.shape[axis + 1 :]) == 1:
            return call.op(op(axis), x)
        flat = call.op(Reshape((prod(x.shape[:axis]), prod(x.shape[axis:]))), x)
        return call.op(Reshape(x.shape), call.op(op(1), flat))

    return convert


def _softmax(op: Callable[[int], Op]) -> dict[int, Converter]:
    return {7: along_flat(op), 13: along(op)}


TABLE: Table = {
    "Celu": {7: scaled(activation.Celu, alpha=1.0)},
    "Clip": {7: clip_attributes, 11: clip},
    "Elu": {7: scaled(activation.Elu, alpha=1.0)},
    "Gelu": {7: gelu},
    "HardSigmoid": {7: scaled(activation.HardSigmoid, alpha=0.2, beta=0.5)},
    "HardSwish": {7: plain(activation.HardSwish)},
    "Hardmax": _softmax(softmax.Hardmax),
    "LeakyRelu": {7: scaled(activation.LeakyRelu, alpha=0.01)},
    "LogSoftmax": _softmax(softmax.LogSoftmax),
    "Mish": {7: plain(activation.Mish)},
    "PRelu": {7: plain(activation.Prelu)},
    "Relu": {7: plain(activation.Relu)},
    "Selu": {7: scaled(activation.Selu, alpha=1.6732632423543772, gamma=1.0507009873554804)},
    "Shrink": {7: shrink},
    "Sigmoid": {7: plain(activation.Sigmoid)},
    "Softmax": _softmax(softmax.Softmax),
    "Softplus": {7: plain(activation.Softplus)},
    "Softsign": {7: plain(activation.Softsign)},
    "Swish": {7: swish},
    "Tanh": {7: plain(activation.Tanh)},
    "ThresholdedRelu": {7: scaled(activation.ThresholdedRelu, alpha=1.0)},
}
