"""Steps for values of any rank: activations, arithmetic, joins, views, reductions, products."""

import numpy as np

from tests.differential.image_steps import Step
from tests.differential.net import Net, Shape

ACTIVATIONS: tuple[tuple[str, dict[str, object]], ...] = (
    ("Relu", {}), ("Relu", {}), ("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("Elu", {}),
    ("Selu", {}), ("Celu", {"alpha": 1.5}), ("Sigmoid", {}), ("HardSigmoid", {"alpha": 0.3}),
    ("HardSwish", {}), ("Tanh", {}), ("Gelu", {}), ("Gelu", {"approximate": "tanh"}),
    ("Softplus", {}), ("Softsign", {}), ("Erf", {}), ("Mish", {}), ("Abs", {}), ("Neg", {}),
    ("ThresholdedRelu", {"alpha": 0.5}),
)  # fmt: skip


def activation(net: Net, x: str) -> str:
    """One of the activations."""
    kind, fields = net.pick(ACTIVATIONS)
    return net.op(kind, x, **fields)


def clip(net: Net, x: str) -> str:
    """Relu6, or other limits, of which one may be absent."""
    low, high = net.pick([(0, 6), (0, 1), (-1, 1), (-0.5, None), (None, 0.5)])
    bounds = [None if b is None else net.constant(f32(b)) for b in (low, high)]
    return net.op("Clip", x, *bounds)


def f32(number: float) -> np.float32:
    """A scalar of float32."""
    return np.float32(number)


def gate(net: Net, x: str) -> str:
    """x * sigmoid(x), as exporters write it."""
    return net.op("Mul", x, net.op("Sigmoid", x))


def unary(net: Net, x: str) -> str:
    """A function on a part of its domain where it is smooth."""
    kind = net.pick(["Exp", "Log", "Sqrt", "Sin", "Cos", "Reciprocal"])
    if kind == "Exp":
        return net.op(kind, net.op("Tanh", x))
    if kind in ("Sin", "Cos"):
        return net.op(kind, x)
    return net.op(kind, net.op("Add", net.op("Abs", x), net.constant(f32(0.5))))


def with_constant(net: Net, x: str) -> str:
    """Arithmetic with a constant that is broadcast along some axes."""
    shape = tuple(s if net.chance(2) else 1 for s in net.shape(x))
    shape = shape[net.number(0, len(shape)) :]
    kind = net.pick(["Add", "Add", "Mul", "Mul", "Sub", "Div", "Min", "Max"])
    c = net.between(0.5, 1.5, *shape) if kind in ("Mul", "Div") else net.normal(*shape)
    return net.op(kind, *((c, x) if kind != "Div" and net.chance(3) else (x, c)))


def with_older(net: Net, x: str) -> str:
    """Arithmetic with an older value whose shape broadcasts; by preference one of the same."""
    shape = net.shape(x)
    same = [v for v in net.older if net.shape(v) == shape]
    fits = [v for v in net.older if broadcasts(net.shape(v), shape)]
    other = net.pick(fits if net.chance(3) or not same else same)
    kind = net.pick(["Add", "Add", "Add", "Sub", "Mul", "Max", "Min"])
    if kind == "Mul":
        other = net.op("Tanh", other)
    return net.op(kind, *((other, x) if net.chance(2) else (x, other)))


def broadcasts(a: Shape, b: Shape) -> bool:
    """Whether values of these shapes may be added."""
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def choice(net: Net, x: str) -> str:
    """x where it is above a constant, else another."""
    above = net.op(net.pick(["Greater", "Less"]), x, net.normal(1))
    return net.op("Where", above, x, net.normal(*net.shape(x)[-1:]))


def concat(net: Net, x: str) -> str:
    """Joined with older values that agree in all other axes, or with itself."""
    axis = net.number(0, len(net.shape(x)) - 1) if net.chance(2) else min(1, len(net.shape(x)) - 1)

    def rest(v: str) -> Shape:
        return net.shape(v)[:axis] + net.shape(v)[axis + 1 :]

    mates = [v for v in net.older if len(net.shape(v)) > axis and rest(v) == rest(x)]
    return net.op("Concat", x, net.pick([*mates, x]), axis=axis)


def split(net: Net, x: str) -> str:
    """Cut in two along an axis; one part, their sum or the parts swapped."""
    shape = net.shape(x)
    axes = [a for a, s in enumerate(shape) if s > 1]
    if not axes:
        return net.op("Identity", x)
    axis = net.pick(axes)
    first = net.pick([shape[axis] // 2, net.number(1, shape[axis] - 1)])
    sizes = first, shape[axis] - first
    a, b = net.ops("Split", 2, x, net.integers(*sizes), axis=axis)
    if sizes[0] == sizes[1] and net.chance(2):
        return net.op("Add", a, b)
    return a if net.chance(2) else net.op("Concat", b, a, axis=axis)


def part(net: Net, x: str) -> str:
    """A slice, at times with steps or backwards."""
    shape = net.shape(x)
    axis = net.number(0, len(shape) - 1)
    step = net.pick([1, 1, 2, -1])
    start, stop = net.number(0, shape[axis] - 1), shape[axis]
    if step < 0:
        start, stop = shape[axis] - 1, -shape[axis] - 1
    ends = (net.integers(v) for v in (start, stop, axis, step))
    return net.op("Slice", x, *ends)


def gather(net: Net, x: str) -> str:
    """Constant positions along an axis; a scalar one drops it."""
    shape = net.shape(x)
    axis = net.number(0, len(shape) - 1)
    if len(shape) > 2 and net.chance(3):
        return net.op("Gather", x, net.constant(np.int64(net.number(-1, 0))), axis=axis)
    places = [net.number(-1, shape[axis] - 1) for _ in range(net.number(1, 4))]
    return net.op("Gather", x, net.integers(*places), axis=axis)


def transpose(net: Net, x: str) -> str:
    """Axes in another order."""
    return net.op("Transpose", x, perm=net.random.permutation(len(net.shape(x))).tolist())


def reshape(net: Net, x: str) -> str:
    """Two neighbouring axes made one, one cut in two, or all but one flattened."""
    shape = list(net.shape(x))
    way = net.number(0, 3)
    if way == 0 and len(shape) > 2:
        at = net.number(0, len(shape) - 2)
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
        return net.op("Reshape", x, net.integers(*shape))
    if way == 1 and len(shape) < 5:
        at = net.number(0, len(shape) - 1)
        factor = net.pick([f for f in (2, 3, 1) if shape[at] % f == 0])
        shape[at : at + 1] = [shape[at] // factor, factor]
        return net.op("Reshape", x, net.integers(*shape))
    if way == 2:
        return net.op("Flatten", x, axis=net.number(0, len(shape)))
    return net.op("Reshape", x, net.integers(0, -1))


def axes(net: Net, x: str) -> str:
    """Axes of extent one taken away, put in, or stretched."""
    shape = net.shape(x)
    ones = [a for a, s in enumerate(shape) if s == 1]
    if ones and len(shape) > 2 and net.chance(2):
        return net.op("Squeeze", x, net.integers(net.pick(ones)))
    if ones and net.chance(2):
        wide = [net.number(1, 3) if s == 1 else s for s in shape]
        return net.op("Expand", x, net.integers(*wide))
    if net.chance(2):
        return net.op("Tile", x, net.integers(*(net.pick([1, 1, 2]) for _ in shape)))
    return net.op("Unsqueeze", x, net.integers(net.number(0, len(shape)))) if len(shape) < 5 else x


def reduce(net: Net, x: str) -> str:
    """A reduction over some axes."""
    kinds = ["ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2",
             "ReduceLogSumExp"]  # fmt: skip
    rank = len(net.shape(x))
    over = [a for a in range(rank) if net.chance(2)] or [rank - 1]
    if len(over) > rank - 2 and net.chance(2):
        over = over[-1:]
    y = net.op(net.pick(kinds), x, net.integers(*over), keepdims=net.number(0, 1))
    return y if net.shape(y) else net.op("Unsqueeze", y, net.integers(0))


def softmax(net: Net, x: str) -> str:
    """Softmax or its logarithm along an axis."""
    kind = net.pick(["Softmax", "Softmax", "LogSoftmax"])
    return net.op(kind, x, axis=net.number(-1, len(net.shape(x)) - 1))


def layer_norm(net: Net, x: str) -> str:
    """Layer normalization over the last axes."""
    rank = len(net.shape(x))
    axis = net.pick([rank - 1, rank - 1, net.number(min(1, rank - 1), rank - 1)])
    shape = net.shape(x)[axis:]
    scale, bias = net.between(0.5, 1.5, *shape), net.normal(*shape)
    return net.op("LayerNormalization", x, scale, bias, axis=axis, epsilon=0.01)


def matmul(net: Net, x: str) -> str:
    """A product with a constant matrix, and often a bias."""
    k, n = net.shape(x)[-1], net.pick([1, 3, 8, 16, 20])
    y = net.op("MatMul", x, net.normal(k, n, fan=k))
    return net.op("Add", y, net.normal(n)) if net.chance(2) else y


def gemm(net: Net, x: str) -> str:
    """A fully connected layer, flattened before if it must."""
    if len(net.shape(x)) != 2:
        x = net.op("Flatten", x, axis=1)
    k, n = net.shape(x)[1], net.pick([1, 5, 16, 33])
    flip = net.chance(2)
    w = net.normal(n, k, fan=k) if flip else net.normal(k, n, fan=k)
    bias = None if net.chance(4) else net.normal(n)
    return net.op("Gemm", x, w, bias, transB=int(flip), alpha=net.pick([1.0, 1.0, 0.5]))


def attention(net: Net, x: str) -> str:
    """softmax(x x') x over the last two axes."""
    shape = net.shape(x)
    if len(shape) < 2:
        return net.op("Relu", x)
    perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    scores = net.op("MatMul", x, net.op("Transpose", x, perm=perm))
    scores = net.op("Mul", scores, net.constant(f32(shape[-1] ** -0.5 / 4)))
    return net.op("MatMul", net.op("Softmax", scores, axis=-1), x)


def total(net: Net, x: str) -> str:
    """Running sums along an axis."""
    axis = net.constant(np.int64(net.number(0, len(net.shape(x)) - 1)))
    return net.op("CumSum", x, axis, reverse=net.number(0, 1), exclusive=net.number(0, 1))


STEPS: tuple[Step, ...] = (
    activation, activation, activation, clip, gate, unary, with_constant, with_constant,
    with_older, with_older, with_older, choice, concat, concat, split, part, gather, transpose,
    reshape, axes, reduce, softmax, layer_norm, matmul, matmul, gemm, attention, total,
)  # fmt: skip
