"""Indexing of aten."""

from codesign.frontends.torch_ops.call import Call, Known, Result
from codesign.ir.dtype import DType
from codesign.ir.ops import gather, scatter
from codesign.ir.ops.join import Concat
from codesign.ir.ops.shape import Expand, ExpandDims, Transpose


def embedding(call: Call) -> Result:
    """Rows of a table."""
    if call.get("scale_grad_by_freq") or call.get("sparse"):
        pass  # only gradients differ
    return call.emit(gather.Embedding(), call.value("indices"), call.value("weight"))


def index_select(call: Call) -> Result:
    """Slices along an axis."""
    axis = call.axis("dim", call.type().rank)
    return call.emit(gather.Gather(axis), call.value(), call.value("index"))


def gather_(call: Call) -> Result:
    """Elements along an axis."""
    axis = call.axis("dim", call.type().rank)
    return call.emit(gather.GatherElements(axis), call.value(), call.value("index"))


def index(call: Call) -> Result:
    """x[..., indices, ...] with integer tensors on neighbouring axes."""
    found = list(call.get("indices"))
    axes = [i for i, where in enumerate(found) if where is not None]
    if not axes:
        return call.value()
    types = [call.builder.types[call.as_value(found[i])] for i in axes]
    if any(not t.dtype.is_integer for t in types):
        raise call.refuse("selects by a mask, so that the shape depends on the data")
    if len(axes) == 1:
        return call.emit(gather.Gather(axes[0]), call.value(), call.as_value(found[axes[0]]))
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise call.refuse("has index tensors on axes that are not neighbours")
    return _index_nd(call, axes, [found[i] for i in axes])


def _index_nd(call: Call, axes: list[int], indices: list[object]) -> Result:
    """Several index tensors at once: gather_nd, with axes before them moved behind."""
    shape = call.result.shape
    x, first = call.value(), axes[0]
    rank, count = len(call.shape(x)), len(axes)
    spread = shape[first : len(shape) - (rank - first - count)]
    stacked = positions(call, indices, spread)
    if not first:
        return call.emit(gather.GatherNd(), x, stacked)
    front = (*axes, *range(first), *range(axes[-1] + 1, rank))
    moved = call.emit(Transpose(front), x, part="moved")
    y = call.emit(gather.GatherNd(), moved, stacked, part="gathered")
    k = len(spread)
    back = (*range(k, k + first), *range(k), *range(k + first, len(shape)))
    return call.emit(Transpose(back), y)


def positions(call: Call, indices: list[object], spread: tuple[int, ...]) -> str:
    """Index tensors broadcast to `spread` and stacked along a last axis."""
    import torch

    if all(isinstance(i, Known) for i in indices):
        tensors = [i.tensor.long().expand(spread) for i in indices if isinstance(i, Known)]
        return call.constant(torch.stack(tensors, -1), f"{call.name}.positions")
    parts = []
    for found in indices:
        value = call.cast(call.as_value(found), DType.I64)
        wide = value
        if call.shape(value) != spread:
            wide = call.emit(Expand(spread), value, part="spread")
        parts.append(call.emit(ExpandDims((len(spread),)), wide, part="column"))
    return call.emit(Concat(len(spread)), *parts, part="positions")


def scatter_(call: Call) -> Result:
    """Elements written along an axis; the updates may be one number."""
    reduction = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min", "add": "add"}
    wanted = call.get("reduce")
    if call.target.startswith("aten.scatter_add"):
        wanted = "sum"
    if wanted is not None and (wanted not in reduction or call.get("include_self") is False):
        raise call.refuse(f"with reduce={wanted!r}")
    axis, where = call.axis("dim", call.type().rank), call.value("index")
    updates = call.number("src" if "src" in call.arguments else "value", call.result.dtype)
    if call.shape(updates) != call.shape(where):
        if call.shape(updates):
            raise call.refuse("has more updates than positions")
        updates = call.emit(Expand(call.shape(where)), updates, part="updates")
    op = scatter.ScatterElements(axis, reduction.get(wanted, "none"))
    return call.emit(op, call.value(), where, updates)


def index_put(call: Call) -> Result:
    """x[indices] = values with integer tensors on the first axes."""
    found = list(call.get("indices"))
    types = [None if i is None else call.builder.types[call.as_value(i)] for i in found]
    integers = [t for t in types if t is not None and t.dtype.is_integer]
    if len(integers) != len(found):
        raise call.refuse("writes through a mask or on later axes only")
    import numpy as np

    spread = tuple(np.broadcast_shapes(*(t.shape for t in integers)))
    rest = call.type().shape[len(found) :]
    values = call.number("values", call.result.dtype)
    if call.shape(values) != (*spread, *rest):
        values = call.emit(Expand((*spread, *rest)), values, part="values")
    op = scatter.ScatterNd("add" if call.get("accumulate") else "none")
    return call.emit(op, call.value(), positions(call, found, spread), values)


def one_hot(call: Call) -> Result:
    """The traced extent of the last axis is the number of classes."""
    shape = call.result.shape
    op = gather.OneHot(shape[-1], len(shape) - 1, dtype=str(call.result.dtype))
    return call.emit(op, call.value())
