"""Activation functions of aten."""

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.dtype import DType
from codesign.ir.ops import activation, elementwise, join, softmax


def prelu(call: Call) -> Result:
    """One slope for all, or one a channel (axis 1)."""
    weight, x = call.weight("weight"), call.type()
    if weight.tensor.numel() == 1:
        slope = weight.tensor.reshape([1] * max(x.rank - 1, 0))
    else:
        slope = weight.tensor.reshape([-1] + [1] * (x.rank - 2))
    return call.emit(activation.Prelu(), call.value(), call.constant(slope, weight.name))


def elu(call: Call) -> Result:
    """aten.elu, which has three factors so that it covers selu and celu."""
    alpha, scale, inner = (float(call.get(n, 1)) for n in ("alpha", "scale", "input_scale"))
    if inner == 1 and scale == 1:
        return call.emit(activation.Elu(alpha), call.value())
    if inner == 1:
        return call.emit(activation.Selu(alpha, scale), call.value())
    if scale == 1 and abs(inner * alpha - 1) < 1e-6:
        return call.emit(activation.Celu(alpha), call.value())
    raise call.refuse(f"with alpha={alpha}, scale={scale}, input_scale={inner}")


def celu(call: Call) -> Result:
    """With its alpha."""
    return call.emit(activation.Celu(float(call.get("alpha"))), call.value())


def softplus(call: Call) -> Result:
    """log(1 + exp(beta x)) / beta; torch's threshold only avoids overflow."""
    beta = float(call.get("beta", 1))
    if beta == 1:
        return call.emit(activation.Softplus(), call.value())
    factor = call.scalar(beta, call.result.dtype, "beta")
    scaled = call.emit(elementwise.Mul(), call.value(), factor, part="scaled")
    soft = call.emit(activation.Softplus(), scaled, part="softplus")
    return call.emit(elementwise.Div(), soft, factor)


def threshold(call: Call) -> Result:
    """x above the threshold, else a value, which must be 0."""
    if call.get("value") != 0:
        raise call.refuse(f"with value={call.get('value')}, only 0 is supported")
    return call.emit(activation.ThresholdedRelu(float(call.get("threshold"))), call.value())


def glu(call: Call) -> Result:
    """The first half along an axis times the sigmoid of the second."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    half = x.shape[axis] // 2
    a, b = call.emits(join.Split(axis, (half, half)), call.value(), part="half")
    return call.emit(elementwise.Mul(), a, call.emit(activation.Sigmoid(), b, part="gate"))


def log_sigmoid(call: Call) -> Result:
    """-softplus(-x)."""
    from codesign.ir.ops.unary import Neg

    turned = call.emit(Neg(), call.value(), part="neg")
    return call.emit(Neg(), call.emit(activation.Softplus(), turned, part="softplus"))


def soft_max(call: Call, kind: type[softmax.AlongAxis]) -> Result:
    """softmax or log_softmax along `dim`, in the result's element type."""
    x = call.cast(call.value(), call.result.dtype)
    rank = len(call.shape(x))
    if not rank:
        raise call.refuse("needs at least one axis")
    return call.emit(kind(call.axis("dim", rank)), x)


def gelu(call: Call) -> Result:
    """Exact or by tanh."""
    return call.emit(activation.Gelu(call.get("approximate", "none")), call.value())


def leaky_relu(call: Call) -> Result:
    """With its slope."""
    return call.emit(activation.LeakyRelu(float(call.get("negative_slope"))), call.value())


def shrink(call: Call, soft: bool) -> Result:
    """softshrink or hardshrink with `lambd`."""
    size = float(call.get("lambd"))
    return call.emit(activation.Shrink(size if soft else 0.0, size), call.value())


def relu(call: Call) -> Result:
    """relu keeps integers."""
    if call.result.dtype is DType.BOOL:
        raise call.refuse("on truth values")
    return call.emit(activation.Relu(), call.value())
