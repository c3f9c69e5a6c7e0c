"""Normalizations of aten."""

import torch

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.ops import norm
from codesign.ir.ops.elementwise import Add, Div, Mul, Sub
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Reshape
from codesign.ir.ops.unary import Sqrt


def _or_filled(call: Call, name: str, channels: int, fill: float) -> str:
    """A vector argument, or one filled with a number where it is absent."""
    if call.given(name):
        return call.value(name)
    return call.constant(torch.full((channels,), fill), f"{call.name}.{name}")


def batch_norm(call: Call) -> Result:
    """Batch norm with the statistics of training; the further results are never used."""
    if call.get("training") or not call.given("running_mean"):
        raise call.refuse("uses the batch's own statistics; call .eval() on the model first")
    x = call.value("input")
    channels = call.shape(x)[1]
    operands = (
        _or_filled(call, "weight", channels, 1.0),
        _or_filled(call, "bias", channels, 0.0),
        call.value("running_mean"),
        call.value("running_var"),
    )
    return call.emit(norm.BatchNorm(float(call.get("eps"))), x, *operands)


def batch_statistics(call: Call) -> Result:
    """Batch norm with the statistics of its input, which only a layer without its own may use."""
    if call.given("running_mean"):
        raise call.refuse("uses the batch's own statistics; call .eval() on the model first")
    x, dtype = call.value("input"), call.result.dtype
    shape = call.shape(x)
    channels, column = shape[1], (shape[1], *[1] * (len(shape) - 2))
    scale, bias = (
        _or_filled(call, name, channels, fill) for name, fill in (("weight", 1.0), ("bias", 0.0))
    )
    if shape[0] == 1:
        y = call.emit(norm.InstanceNorm(float(call.get("eps"))), x, scale, bias)
        return first_of(y)
    axes = (0, *range(2, len(shape)))
    centred = call.emit(Sub(), x, call.emit(ReduceMean(axes), x, part="mean"), part="centred")
    squared = call.emit(Mul(), centred, centred, part="squared")
    variance = call.emit(ReduceMean(axes), squared, part="variance")
    epsilon = call.scalar(float(call.get("eps")), dtype, "epsilon")
    deviation = call.emit(Sqrt(), call.emit(Add(), variance, epsilon, part="positive"))
    y = call.emit(Div(), centred, deviation, part="normalized")
    scale, bias = (call.emit(Reshape(column), v, part="column") for v in (scale, bias))
    return first_of(call.emit(Add(), call.emit(Mul(), y, scale, part="scaled"), bias))


def first_of(result: Result) -> Result:
    """`result` as the first of several, of which only it is used."""
    return (result, None, None)


def native_batch_norm(call: Call) -> Result:
    """The inference form with three results."""
    return first_of(batch_norm(call))


def layer_norm(call: Call) -> Result:
    """Over the last len(normalized_shape) axes."""
    x = call.value("input")
    axis = len(call.shape(x)) - len(call.integers("normalized_shape"))
    scale, bias = call.optional("weight"), call.optional("bias")
    return call.emit(norm.LayerNorm(axis, float(call.get("eps"))), x, scale, bias)


def native_layer_norm(call: Call) -> Result:
    """With three results."""
    return first_of(layer_norm(call))


def rms_norm(call: Call) -> Result:
    """Over the last len(normalized_shape) axes; epsilon defaults to the type's."""
    x = call.value("input")
    axis = len(call.shape(x)) - len(call.integers("normalized_shape"))
    epsilon = call.get("eps")
    if epsilon is None:
        epsilon = torch.finfo(torch.float32).eps
    return call.emit(norm.RmsNorm(axis, float(epsilon)), x, call.optional("weight"))


def group_norm(call: Call) -> Result:
    """By groups of channels."""
    groups = call.get("num_groups") or call.get("group")
    operands = call.value("input"), call.optional("weight"), call.optional("bias")
    return call.emit(norm.GroupNorm(groups, float(call.get("eps"))), *operands)


def native_group_norm(call: Call) -> Result:
    """With three results."""
    return first_of(group_norm(call))


def instance_norm(call: Call) -> Result:
    """By channel of each sample, or with running statistics a batch norm."""
    if not call.get("use_input_stats"):
        return batch_norm(call)
    operands = call.value("input"), call.optional("weight"), call.optional("bias")
    return call.emit(norm.InstanceNorm(float(call.get("eps"))), *operands)
