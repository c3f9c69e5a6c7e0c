"""Operators that join, cut, pad and select along axes."""

from collections.abc import Sequence

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.arithmetic import cast_value
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.ops import gather, join, order, rearrange, scatter
from codesign.ir.ops.logic import Where


def concat(call: Call) -> Value:
    """Concat."""
    parts = call.all()
    axis = call.axis(parts[0].rank)
    return parts[0] if len(parts) == 1 else call.op(join.Concat(axis), *parts)


def split(call: Call) -> Sequence[Value]:
    """Split into parts of given sizes, or as equal as can be."""
    x = call.x()
    axis, count = call.axis(x.rank, default=0), len(call.node.output)
    if call.version >= 13:
        sizes = None if call.get(1) is None else call.ints_of(1, "the sizes")
    else:
        sizes = call.integers("split") if call.has("split") else None
    if call.has("num_outputs") and call.integer("num_outputs") != count:
        raise InvalidModelError(f"{describe(call.node)}: num_outputs is not its output count")
    if sizes is None:
        each = -(-x.shape[axis] // count)
        last = x.shape[axis] - each * (count - 1)
        sizes = (*[each] * (count - 1), last)
    if len(sizes) != count:
        raise InvalidModelError(f"{describe(call.node)} has {count} outputs, {len(sizes)} sizes")
    return call.emit.results(join.Split(axis, sizes), x)


def _cut(call: Call, x: Value, axes: Sequence[int], bounds: Sequence[Sequence[int]]) -> Value:
    """`x` cut along `axes`. Backwards, a start before the first element means the first one."""
    starts, ends, steps = (tuple(b) for b in bounds)
    places = call.axes(axes, x.rank)
    starts = tuple(
        max(start, -x.shape[axis]) if step < 0 else start
        for axis, start, step in zip(places, starts, steps, strict=True)
    )
    return call.op(join.Slice(places, starts, ends, steps), x)


def slice_attributes(call: Call) -> Value:
    """Slice before operator set 10."""
    starts, ends = call.integers("starts"), call.integers("ends")
    axes = call.integers("axes", range(len(starts)))
    return _cut(call, call.x(), axes, (starts, ends, [1] * len(starts)))


def slice_inputs(call: Call) -> Value:
    """Slice with starts, ends, axes and steps as inputs."""
    starts, ends = call.ints_of(1, "the starts"), call.ints_of(2, "the ends")
    axes = call.ints_of(3, "the axes") if call.get(3) else range(len(starts))
    steps = call.ints_of(4, "the steps") if call.get(4) else [1] * len(starts)
    return _cut(call, call.x(), axes, (starts, ends, steps))


def padded(call: Call, x: Value, pads: Sequence[int], mode: str, value: float) -> Value:
    """`x` padded by all befores, then all afters; negative pads cut."""
    rank = x.rank
    if len(pads) != 2 * rank:
        raise InvalidModelError(f"{describe(call.node)}: {len(pads)} pads for {rank} axes")
    if mode not in join.PAD_MODES:
        raise call.refuse(f"mode={mode!r}", "mode")
    pairs = [(pads[i], pads[i + rank]) for i in range(rank)]
    if min(pads, default=0) < 0:
        axes = [i for i in range(rank) if min(pairs[i]) < 0]
        starts = [max(-pairs[i][0], 0) for i in axes]
        ends = [x.shape[i] + min(pairs[i][1], 0) for i in axes]
        x = _cut(call, x, axes, (starts, ends, [1] * len(axes)))
        pairs = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if not any(map(sum, pairs)):
        return x
    return call.op(join.Pad(tuple(pairs), mode, value), x)


def pad_attributes(call: Call) -> Value:
    """Pad before operator set 11."""
    mode, value = call.text("mode", "constant"), call.number("value", 0.0)
    return padded(call, call.x(), call.integers("pads"), mode, value)


def pad(call: Call) -> Value:
    """Pad with pads, value and axes as inputs."""
    x, mode, pads = call.x(), call.text("mode", "constant"), list(call.ints_of(1, "the pads"))
    value = call.float_of(2, "the pad value") if call.get(2) else 0.0
    if call.get(3) is not None:
        axes = call.axes(call.ints_of(3, "the axes"), x.rank)
        if len(pads) != 2 * len(axes):
            raise InvalidModelError(f"{describe(call.node)}: {len(pads)} pads, {len(axes)} axes")
        spread = [0] * (2 * x.rank)
        for i, axis in enumerate(axes):
            spread[axis], spread[axis + x.rank] = pads[i], pads[i + len(axes)]
        pads = spread
    return padded(call, x, pads, mode, value)


def gather_slices(call: Call) -> Value:
    """Gather."""
    x = call.x()
    return call.op(gather.Gather(call.axis(x.rank, default=0)), x, call.x(1))


def gather_elements(call: Call) -> Value:
    """GatherElements."""
    x = call.x()
    return call.op(gather.GatherElements(call.axis(x.rank, default=0)), x, call.x(1))


def gather_nd(call: Call) -> Value:
    """GatherND."""
    return call.op(gather.GatherNd(call.integer("batch_dims", 0)), call.x(), call.x(1))


def scatter_elements(call: Call) -> Value:
    """ScatterElements and the older Scatter."""
    x = call.x()
    op = scatter.ScatterElements(call.axis(x.rank, default=0), call.text("reduction", "none"))
    return call.op(op, *call.all())


def scatter_nd(call: Call) -> Value:
    """ScatterND."""
    return call.op(scatter.ScatterNd(call.text("reduction", "none")), *call.all())


def one_hot(call: Call) -> Value:
    """OneHot; depth must be constant, the two values need not be."""
    indices, values = call.x(), call.x(2)
    depth = int(call.float_of(1, "the depth"))
    axis = call.normal(call.integer("axis", -1), indices.rank + 1)
    indices = cast_value(call, indices, np.dtype(np.int64))
    if values.array is not None and values.array.size == 2:
        low, high = (float(v) for v in values.array)
        return call.op(gather.OneHot(depth, axis, high, low, str(values.dtype)), indices)
    mask = call.op(gather.OneHot(depth, axis, 1.0, 0.0, "bool"), indices)
    off, on = call.emit.results(join.Split(0, (1, 1)), values)
    return call.op(Where(), mask, on, off)


def depth_to_space(call: Call) -> Value:
    """DepthToSpace."""
    mode = call.text("mode", "DCR")
    return call.op(rearrange.DepthToSpace(call.integer("blocksize"), mode), call.x())


def space_to_depth(call: Call) -> Value:
    """SpaceToDepth."""
    return call.op(rearrange.SpaceToDepth(call.integer("blocksize")), call.x())


def trilu(call: Call) -> Value:
    """Trilu."""
    upper = bool(call.integer("upper", 1))
    diagonal = int(call.float_of(1, "the diagonal")) if call.get(1) else 0
    return call.op(rearrange.Trilu(upper, diagonal), call.x())


def cumsum(call: Call) -> Value:
    """CumSum."""
    x = call.x()
    axis = call.normal(int(call.float_of(1, "the axis")), x.rank)
    flags = bool(call.integer("exclusive", 0)), bool(call.integer("reverse", 0))
    return call.op(order.CumSum(axis, *flags), x)


def _top(call: Call, k: int, largest: bool) -> Sequence[Value]:
    x = call.x()
    return call.emit.results(order.TopK(k, call.axis(x.rank, default=-1), largest), x)


def top_k_attribute(call: Call) -> Sequence[Value]:
    """TopK before operator set 10."""
    return _top(call, call.integer("k"), True)


def top_k(call: Call) -> Sequence[Value]:
    """TopK; k must be constant. Results are always in order."""
    call.ignore("sorted")
    return _top(call, int(call.float_of(1, "k")), bool(call.integer("largest", 1)))


def compress(call: Call) -> Value:
    """Compress by a constant condition."""
    x, where = call.x(), np.flatnonzero(call.array(1, "the condition")).astype(np.int64)
    if not call.has("axis"):
        from codesign.frontends.onnx.families.shape import reshaped

        x = reshaped(call, x, (x.type.size,))
    axis = call.axis(x.rank, default=0)
    return call.op(gather.Gather(axis), x, call.emit.constant(where))


def reverse_sequence(call: Call) -> Value:
    """ReverseSequence with constant lengths: a gather of positions."""
    x = call.x()
    lengths = call.ints_of(1, "the lengths")
    batch, time = call.axis(x.rank, "batch_axis", 1), call.axis(x.rank, "time_axis", 0)
    if len(lengths) != x.shape[batch] or {batch, time} != {0, 1}:
        raise InvalidModelError(f"{describe(call.node)}: lengths or axes do not fit {x.type}")
    steps = np.arange(x.shape[time])
    rows = np.array([np.where(steps < n, n - 1 - steps, steps) for n in lengths], np.int64)
    rows = rows if batch == 0 else rows.T
    where = rows.reshape(*rows.shape, *[1] * (x.rank - 2))
    spread = np.broadcast_to(where, x.shape).copy()
    return call.op(gather.GatherElements(time), x, call.emit.constant(spread))


TABLE: Table = {
    "Compress": {7: compress},
    "Concat": {7: concat},
    "CumSum": {7: cumsum},
    "DepthToSpace": {7: depth_to_space},
    "Gather": {7: gather_slices},
    "GatherElements": {7: gather_elements},
    "GatherND": {7: gather_nd},
    "OneHot": {7: one_hot},
    "Pad": {7: pad_attributes, 11: pad},
    "ReverseSequence": {7: reverse_sequence},
    "Scatter": {7: scatter_elements},
    "ScatterElements": {7: scatter_elements},
    "ScatterND": {7: scatter_nd},
    "Slice": {7: slice_attributes, 10: slice_inputs},
    "SpaceToDepth": {7: space_to_depth},
    "Split": {7: split},
    "TopK": {7: top_k_attribute, 10: top_k},
    "Trilu": {7: trilu},
}
