"""What no kernel of this target takes goes through TVM's operator library.

Reports count these by the kernel's name: each is a chance for a kernel of our own.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.ir.ops.convolution import ConvTranspose
from codesign.ir.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceLogSumExp
from codesign.ir.ops.softmax import AlongAxis
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.patterns.order import Lone
from codesign.targets.tvm.storage import physical_bytes, physical_dtype

Tensor = Any  # tvm.te.Tensor
Operands = Sequence[Tensor | None]
NANOSECONDS = 4.0  # for each element, several passes of library code


def _softmax(op: AlongAxis, x: Operands) -> list[Tensor]:
    from tvm import topi

    return [topi.nn.softmax(x[0], op.axis)]


def _log_softmax(op: AlongAxis, x: Operands) -> list[Tensor]:
    return [_subtract_log_sum(x[0], (op.axis,))]


def _log_sum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """log(sum(exp(x))) over `axes`, which stay; an infinite largest element is its own result."""
    from tvm import te, tirx, topi

    top = topi.max(x, axes, keepdims=True)
    finite = te.compute(
        top.shape,
        lambda *i: tirx.Select(tirx.isfinite(top(*i)), top(*i), tirx.const(0, top.dtype)),
    )
    return topi.add(topi.log(topi.sum(topi.exp(topi.subtract(x, finite)), axes, True)), finite)


def _subtract_log_sum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    from tvm import topi

    return topi.subtract(x, _log_sum(x, axes))


def _reduce_log_sum_exp(op: ReduceLogSumExp, x: Operands) -> list[Tensor]:
    from tvm import topi

    if not op.axes:
        return [topi.identity(x[0])]
    total = _log_sum(x[0], op.axes)
    return [total if op.keepdims else topi.squeeze(total, op.axes)]


def _hardmax(op: AlongAxis, x: Operands) -> list[Tensor]:
    from tvm import te, tirx, topi

    place = topi.argmax(x[0], op.axis, keepdims=True, select_last_index=False)

    def value(*index: Any) -> Any:
        row = [0 if i == op.axis else at for i, at in enumerate(index)]
        here = place(*row) == index[op.axis]
        one, zero = (tirx.const(v, x[0].dtype) for v in (1, 0))  # type: ignore[union-attr]
        return tirx.Select(here, one, zero)

    return [te.compute(x[0].shape, value)]  # type: ignore[union-attr]


def _normal(x: Tensor, axes: tuple[int, ...], epsilon: float, centre: bool = True) -> Tensor:
    """x over the root of its mean square along `axes`, its mean taken off first."""
    from tvm import te, tirx, topi

    size = int(np.prod([int(x.shape[a]) for a in axes]))
    count = tirx.const(size, x.dtype)
    if centre:
        x = topi.subtract(x, topi.divide(topi.sum(x, axes, True), count))
    square = topi.divide(topi.sum(topi.multiply(x, x), axes, True), count)
    one = tirx.const(1, x.dtype)
    scale = te.compute(
        square.shape, lambda *i: one / tirx.sqrt(square(*i) + tirx.const(epsilon, x.dtype))
    )
    return topi.multiply(x, scale)


def _affine(y: Tensor, scale: Tensor | None, bias: Tensor | None) -> list[Tensor]:
    from tvm import topi

    y = y if scale is None else topi.multiply(y, scale)
    return [y if bias is None else topi.add(y, bias)]


def _layer_norm(op: LayerNorm, x: Operands) -> list[Tensor]:
    axes = tuple(range(op.axis, len(x[0].shape)))  # type: ignore[union-attr]
    return _affine(_normal(x[0], axes, op.epsilon), *x[1:3])


def _rms_norm(op: RmsNorm, x: Operands) -> list[Tensor]:
    axes = tuple(range(op.axis, len(x[0].shape)))  # type: ignore[union-attr]
    return _affine(_normal(x[0], axes, op.epsilon, False), x[1], None)


def _channels(x: Tensor, vector: Tensor | None) -> Tensor | None:
    """A vector along axis 1 of x."""
    from tvm import topi

    if vector is None:
        return None
    return topi.reshape(vector, (1, int(vector.shape[0]), *[1] * (len(x.shape) - 2)))


def _group_norm(op: GroupNorm | InstanceNorm, x: Operands) -> list[Tensor]:
    from tvm import topi

    data: Any = x[0]
    shape = [int(extent) for extent in data.shape]
    groups = op.groups if isinstance(op, GroupNorm) else shape[1]
    rows = topi.reshape(data, (shape[0] * groups, int(np.prod(shape)) // (shape[0] * groups)))
    y = topi.reshape(_normal(rows, (1,), op.epsilon), shape)
    return _affine(y, _channels(data, x[1]), _channels(data, x[2]))


def _batch_norm(op: BatchNorm, x: Operands) -> list[Tensor]:
    from tvm import te, tirx, topi

    data: Any = x[0]
    vectors: list[Any] = [_channels(data, v) for v in x[1:5]]
    scale, bias, mean, var = vectors
    factor = te.compute(
        scale.shape,
        lambda *i: scale(*i) / tirx.sqrt(var(*i) + tirx.const(op.epsilon, data.dtype)),
    )
    return _affine(topi.subtract(data, mean), factor, bias)


def _max_pool(op: MaxPool, x: Operands) -> list[Tensor]:
    """The largest element of each window and its position in the flattened input."""
    from tvm import te, tirx

    data: Any = x[0]
    shape = [int(extent) for extent in data.shape]
    (y, *_) = op.infer(TensorType(tuple(shape)))
    taps = [te.reduce_axis((0, k), f"k{i}") for i, k in enumerate(op.kernel)]
    low = tirx.min_value(data.dtype)

    def read(*index: Any) -> tuple[Any, Any]:
        places = [
            i * s - p[0] + tap * d
            for i, s, p, tap, d in zip(
                index[2:], op.strides, op.pads, taps, op.dilations, strict=True
            )
        ]
        inside = tirx.all(
            *(tirx.all(p >= 0, p < e) for p, e in zip(places, shape[2:], strict=True))
        )
        flat = index[0] * shape[1] + index[1]
        for place, extent in zip(places, shape[2:], strict=True):
            flat = flat * extent + place
        value = tirx.if_then_else(inside, data(index[0], index[1], *places), low)
        return value, tirx.if_then_else(inside, flat.astype("int64"), tirx.const(-1, "int64"))

    def first(a: Any, b: Any) -> tuple[Any, Any]:
        kept = tirx.Or(a[0] > b[0], tirx.And(a[0] == b[0], a[1] >= 0))
        return tirx.Select(kept, a[0], b[0]), tirx.Select(kept, a[1], b[1])

    largest = te.comm_reducer(first, lambda t, u: (low, tirx.const(-1, u)), name="largest")
    found = te.compute(y.shape, lambda *i: largest(read(*i), axis=taps), name="pool")
    return list(found)


def _conv_transpose(op: ConvTranspose, x: Operands) -> list[Tensor]:
    """Every output gathers the input pixels whose stride-spaced windows reach it."""
    from tvm import te, tirx

    data: Any = x[0]
    weight: Any = x[1]
    shape = [int(e) for e in data.shape]
    kernel = [int(e) for e in weight.shape]
    types = TensorType(tuple(shape)), TensorType(tuple(kernel))
    (y,) = op.infer(*types)
    inner, outer = shape[1] // op.groups, kernel[1]
    taps = [te.reduce_axis((0, k), f"k{i}") for i, k in enumerate(kernel[2:])]
    channel = te.reduce_axis((0, inner), "c")

    def value(*index: Any) -> Any:
        ahead = [
            i + p[0] - tap * d
            for i, p, tap, d in zip(index[2:], op.pads, taps, op.dilations, strict=True)
        ]
        places = [tirx.floordiv(a, s) for a, s in zip(ahead, op.strides, strict=True)]
        hits = [
            tirx.all(tirx.floormod(a, s) == 0, p >= 0, p < e)
            for a, s, p, e in zip(ahead, op.strides, places, shape[2:], strict=True)
        ]
        source = tirx.floordiv(index[1], outer) * inner + channel
        product = data(index[0], source, *places) * weight(source, index[1] % outer, *taps)
        return te.sum(
            tirx.if_then_else(tirx.all(*hits), product, tirx.const(0, data.dtype)),
            axis=[channel, *taps],
        )

    total = te.compute(y.shape, value, name="transposed")
    return _affine(total, None, _channels(total, x[2]))


LOWERINGS: dict[str, Callable[[Any, Operands], list[Tensor]]] = {
    "batch_norm": _batch_norm,
    "conv_transpose": _conv_transpose,
    "group_norm": _group_norm,
    "hardmax": _hardmax,
    "instance_norm": _group_norm,
    "layer_norm": _layer_norm,
    "log_softmax": _log_softmax,
    "max_pool": _max_pool,
    "reduce_log_sum_exp": _reduce_log_sum_exp,
    "rms_norm": _rms_norm,
    "softmax": _softmax,
}


class Fallback(Lone):
    """TVM's operator library, one op at a time on plain tensors."""

    name: ClassVar[str] = "fallback"
    anchors: ClassVar[frozenset[str]] = frozenset(LOWERINGS)

    def refuse(self, group: Group) -> Refusal | None:
        if not group.anchor_type.size or not group.anchor_type.dtype.is_float:
            return Refusal("the library computes on floats", f"the result is {group.anchor_type}")
        if group.anchor.kind == "max_pool" and len(group.anchor.outputs) < 2:
            return Refusal("pools without positions have a kernel", "none are asked for")
        return super().refuse(group)

    def cost(self, group: Group, point: Point) -> LayerCost:
        """A few nanoseconds an element or multiply-accumulate."""
        moved = sum(physical_bytes(group.type(v)) for v in (*group.operands, *group.outputs))
        work = NANOSECONDS * max(group.anchor_type.size, group.macs) / self.machine.threads
        return layer_cost(self.machine, self.isa, self.name, group, work, moved)

    def emit(self, group: Group, point: Point) -> Emitted:
        from tvm import te

        anchor = group.anchor
        roles = [i for i, value in enumerate(anchor.inputs) if value is not None]
        operands: list[Tensor | None] = [None] * max(7, len(anchor.inputs))
        for role in roles:
            kind = group.input_type(role)
            assert kind is not None
            operands[role] = te.placeholder(kind.shape or (1,), physical_dtype(kind), f"x{role}")
        outputs = LOWERINGS[anchor.kind](anchor.op, operands)
        inputs = [operands[role] for role in roles]

        def make(name: str) -> Any:
            from codesign.targets.tvm.kernels import lowered

            return lowered.emit(name, inputs, outputs, self.isa)

        return Emitted(make, (*(self.argument(group, role) for role in roles), *group.outputs))
