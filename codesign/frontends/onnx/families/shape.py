"""Operators over shapes: what a shape is, and the same elements under another one."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.dtype import DType
from codesign.ir.encodings.grid import Grid
from codesign.ir.ops import shape as ops
from codesign.ir.ops.join import Tile


def shape(call: Call) -> Value:
    """Shape: a constant, as all shapes are static."""
    found = call.x().shape
    start, end = call.integer("start", 0), call.integer("end", len(found))
    return call.emit.constant(np.array(found[slice(start, end)], np.int64))


def size(call: Call) -> Value:
    """Size: a constant."""
    return call.emit.constant(np.array(call.x().type.size, np.int64))


def reshaped(call: Call, x: Value, extents: Sequence[int]) -> Value:
    """`x` under the shape `extents`, keeping the encoding of a constant whose axis stays."""
    shape = tuple(extents)
    if shape == x.shape:
        return x
    if x.array is not None and (kind := _reshaped(x.encoding, x.shape, shape)) is not None:
        return call.emit.constant(x.array.reshape(shape), x.label, kind=kind)
    return call.op(ops.Reshape(shape), x)


def _reshaped(kind: Grid | None, old: tuple[int, ...], new: tuple[int, ...]) -> Grid | None:
    """`kind` of a tensor of shape `old` after it got the shape `new`; None if it has none there."""
    if kind is None or kind.axis is None:
        return kind
    before, extent = prod(old[: kind.axis]), old[kind.axis]
    for axis, size in enumerate(new):
        if (prod(new[:axis]), size) == (before, extent):
            return _along(kind, axis)
    return None


def _along(kind: Grid, axis: int | None) -> Grid:
    """`kind` with its scales along another axis."""
    return replace(kind, axis=axis)  # type: ignore[call-arg]  # a field of every grid


def reshape(call: Call) -> Value:
    """Reshape: 0 copies an extent (unless allowzero), one -1 takes what is left."""
    x, wanted = call.x(), list(call.ints_of(1, "the shape"))
    if not call.integer("allowzero", 0):
        for axis, extent in enumerate(wanted):
            if extent == 0:
                wanted[axis] = x.shape[call.normal(axis, x.rank)]
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise InvalidModelError(f"{describe(call.node)}: the shape {wanted} is impossible")
    if -1 in wanted:
        known = int(np.prod([e for e in wanted if e != -1], dtype=object))
        if known == 0 or x.type.size % known:
            raise InvalidModelError(
                f"{describe(call.node)}: {list(x.shape)} cannot be reshaped to {wanted}"
            )
        wanted[wanted.index(-1)] = x.type.size // known
    return reshaped(call, x, wanted)


def flatten(call: Call) -> Value:
    """Flatten to two axes."""
    x = call.x()
    axis = call.integer("axis", 1)
    if axis != x.rank:
        axis = call.normal(axis, x.rank)
    return call.op(ops.Flatten(axis), x)


def _axes(call: Call) -> tuple[int, ...] | None:
    """Axes from the second input (operator set 13 on) or the attribute."""
    if call.version >= 13:
        return None if call.get(1) is None else call.ints_of(1, "the axes")
    return call.integers("axes") if call.has("axes") else None


def squeeze(call: Call) -> Value:
    """Squeeze the given axes, or all of extent 1."""
    x, given = call.x(), _axes(call)
    axes = given if given is not None else [i for i, e in enumerate(x.shape) if e == 1]
    found = tuple(sorted(call.axes(axes, x.rank)))
    if x.constant and x.encoding is not None:
        return reshaped(call, x, [e for i, e in enumerate(x.shape) if i not in found])
    return call.op(ops.Squeeze(found), x) if found else x


def unsqueeze(call: Call) -> Value:
    """Unsqueeze: new axes of extent 1."""
    x, given = call.x(), _axes(call)
    axes = call.axes(given or (), x.rank + len(given or ()))
    if x.constant and x.encoding is not None:
        extents = iter(x.shape)
        return reshaped(
            call, x, [1 if i in axes else next(extents) for i in range(x.rank + len(axes))]
        )
    return call.op(ops.ExpandDims(tuple(sorted(axes))), x) if axes else x


def transposed(call: Call, x: Value, perm: Sequence[int]) -> Value:
    """`x` with its axes permuted, keeping the encoding of a constant."""
    order = tuple(perm)
    if order == tuple(range(x.rank)):
        return x
    if x.array is not None and (kind := x.encoding) is not None:
        axis = None if kind.axis is None else order.index(kind.axis)
        moved = _along(kind, axis)
        return call.emit.constant(x.array.transpose(order), x.label, kind=moved)
    return call.emit.shared(ops.Transpose(order), x)


def transpose(call: Call) -> Value:
    """Transpose, by default reversing the axes."""
    x = call.x()
    perm = call.integers("perm", range(x.rank)[::-1])
    if sorted(perm) != list(range(x.rank)):
        raise InvalidModelError(
            f"{describe(call.node)}: perm {list(perm)} does not permute {x.rank} axes"
        )
    return transposed(call, x, perm)


def expanded(call: Call, x: Value, extents: Sequence[int]) -> Value:
    """`x` broadcast to `extents`."""
    wanted = tuple(extents)
    return x if wanted == x.shape else call.op(ops.Expand(wanted), x)


def expand(call: Call) -> Value:
    """Expand: broadcast both ways."""
    x, wanted = call.x(), call.ints_of(1, "the shape")
    return expanded(call, x, np.broadcast_shapes(x.shape, wanted))


def tile(call: Call) -> Value:
    """Tile."""
    repeats = call.ints_of(1, "the repeats")
    return call.op(Tile(repeats), call.x())


def is_index(value: Value) -> bool:
    """Whether `value` can hold positions."""
    return value.dtype in (DType.I32, DType.I64)


TABLE: Table = {
    "Expand": {7: expand},
    "Flatten": {7: flatten},
    "Reshape": {7: reshape},
    "Shape": {7: shape},
    "Size": {7: size},
    "Squeeze": {7: squeeze},
    "Tile": {7: tile},
    "Transpose": {7: transpose},
    "Unsqueeze": {7: unsqueeze},
}
