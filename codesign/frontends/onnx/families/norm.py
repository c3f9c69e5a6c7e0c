"""Normalizations."""

from collections.abc import Sequence

from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.arithmetic import cast_value
from codesign.frontends.onnx.families.shape import expanded, reshaped
from codesign.frontends.onnx.value import Value
from codesign.ir.dtype import DType
from codesign.ir.ops import elementwise, norm, reduce, unary


def batch_norm(call: Call) -> Sequence[Value]:
    """BatchNormalization in inference form."""
    call.ignore("momentum")
    if call.integer("training_mode", 0):
        raise call.refuse("training_mode=1", "training_mode")
    if not call.integer("spatial", 1):
        raise call.refuse("spatial=0", "spatial")
    x, *statistics = call.all()
    same = [cast_value(call, value, x.dtype.numpy) for value in statistics]
    return [call.op(norm.BatchNorm(call.number("epsilon", 1e-5)), x, *same)]


def instance_norm(call: Call) -> Value:
    """InstanceNormalization."""
    return call.op(norm.InstanceNorm(call.number("epsilon", 1e-5)), *call.all())


def group_norm(call: Call) -> Value:
    """GroupNormalization; scale and bias are one a group before operator set 21."""
    call.ignore("stash_type")
    x, scale, bias = call.all()
    groups, epsilon = call.integer("num_groups"), call.number("epsilon", 1e-5)
    if call.version < 21 and x.rank > 1:
        each = x.shape[1] // groups
        scale, bias = (
            reshaped(call, expanded(call, reshaped(call, v, (groups, 1)), (groups, each)), (-1,))
            if each * groups != groups
            else v
            for v in (scale, bias)
        )
    return call.op(norm.GroupNorm(groups, epsilon), x, scale, bias)


def layer_norm(call: Call) -> Sequence[Value]:
    """LayerNormalization, with mean and inverse deviation where the model asks for them."""
    x, scale, bias = call.x(), call.x(1), call.get(2)
    axis, epsilon = call.axis(x.rank, default=-1), call.number("epsilon", 1e-5)
    _stash(call, x)
    rest = x.shape[axis:]
    direct = scale.shape == rest and (bias is None or bias.shape == rest)
    if direct:
        y = call.op(norm.LayerNorm(axis, epsilon), x, scale, bias)
    else:
        y = call.op(elementwise.Mul(), call.op(norm.LayerNorm(axis, epsilon), x), scale)
        y = y if bias is None else call.op(elementwise.Add(), y, bias)
    return [y] if call.wanted == 1 else [y, *_moments(call, x, axis, epsilon)]


def _stash(call: Call, x: Value) -> None:
    if call.integer("stash_type", 1) != 1 and x.dtype is not DType.F32:
        raise call.refuse(f"stash_type={call.integer('stash_type')} for {x.dtype}", "stash_type")


def _moments(call: Call, x: Value, axis: int, epsilon: float) -> tuple[Value, Value]:
    """Mean and 1 / standard deviation over the axes from `axis` on."""
    axes = tuple(range(axis, x.rank))
    mean = call.op(reduce.ReduceMean(axes, True), x)
    centred = call.op(elementwise.Sub(), x, mean)
    squares = call.op(elementwise.Mul(), centred, centred)
    variance = call.op(reduce.ReduceMean(axes, True), squares)
    steady = call.op(elementwise.Add(), variance, call.emit.scalar(epsilon, x))
    return mean, call.op(unary.Rsqrt(), steady)


def rms_norm(call: Call) -> Value:
    """RMSNormalization."""
    x, scale = call.x(), call.x(1)
    axis, epsilon = call.axis(x.rank, default=-1), call.number("epsilon", 1e-5)
    _stash(call, x)
    if scale.shape == x.shape[axis:]:
        return call.op(norm.RmsNorm(axis, epsilon), x, scale)
    return call.op(elementwise.Mul(), call.op(norm.RmsNorm(axis, epsilon), x), scale)


def lp_norm(call: Call) -> Value:
    """LpNormalization."""
    x = call.x()
    return call.op(norm.LpNorm(call.axis(x.rank, default=-1), call.integer("p", 2)), x)


def lrn(call: Call) -> Value:
    """LRN: local response normalization over channels."""
    alpha, beta = call.number("alpha", 1e-4), call.number("beta", 0.75)
    op = norm.Lrn(call.integer("size"), alpha, beta, call.number("bias", 1.0))
    return call.op(op, call.x())


TABLE: Table = {
    "BatchNormalization": {7: batch_norm},
    "GroupNormalization": {18: group_norm},
    "InstanceNormalization": {7: instance_norm},
    "LRN": {7: lrn},
    "LayerNormalization": {17: layer_norm},
    "LpNormalization": {7: lp_norm},
    "RMSNormalization": {23: rms_norm},
}
