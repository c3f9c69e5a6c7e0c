"""Layer norms and linear layers from their pieces."""

import numpy as np

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import LayerNorm
from codesign.ir.ops.reduce import ReduceMean
from codesign.rewrite.edit import Edit
from codesign.rewrite.pattern import Any, Apply, Constant, Number, match

X = Any("x")
_CENTRED = Apply("sub", X, Apply("reduce_mean", X, name="mean"))
_SQUARES = (Apply("pow", _CENTRED, Number(2.0)), Apply("mul", _CENTRED, _CENTRED))
_DEVIATIONS = [
    Apply("sqrt", Apply("add", Apply("reduce_mean", square, name="variance"), Number(None, "eps")))
    for square in _SQUARES
]
_DIVIDED = [Apply("div", _CENTRED, deviation) for deviation in _DEVIATIONS]
_MULTIPLIED = [Apply("mul", _CENTRED, Apply("reciprocal", d)) for d in _DEVIATIONS]


def normalized(graph: Graph, node: Node, edit: Edit) -> str | None:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon) over the last axes."""
    for pattern in _DIVIDED if node.kind == "div" else _MULTIPLIED:
        bound = match(graph, node.name, pattern)
        axis = None if bound is None else _last_axes(graph, bound)
        if bound is not None and axis is not None:
            epsilon = float(graph.constants[bound["eps"]].array.reshape(-1)[0])
            return edit.add(LayerNorm(axis, epsilon), bound["x"], name=node.name)
    return None


def _last_axes(graph: Graph, bound: dict[str, str]) -> int | None:
    """The first of the trailing axes over which both means go; None if they differ."""
    ops = [graph.producers[bound[name]].op for name in ("mean", "variance")]
    rank = graph.types[bound["x"]].rank
    first, second = ops
    if not isinstance(first, ReduceMean) or first != second or not first.keepdims:
        return None
    axes = tuple(sorted(axis % rank for axis in first.axes))
    trailing = tuple(range(rank - len(axes), rank))
    return trailing[0] if axes and axes == trailing else None


def scaled_norm(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A constant that a layer norm without scale and bias is multiplied by is its scale."""
    return _absorbed(graph, node, edit, Constant("scale"), 1)


def shifted_norm(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A constant that is added to a layer norm without bias is its bias."""
    return _absorbed(graph, node, edit, Constant("bias"), 2)


def _absorbed(graph: Graph, node: Node, edit: Edit, wanted: Constant, role: int) -> str | None:
    for x, other in (node.operands, node.operands[::-1]) if len(node.operands) == 2 else ():
        norm = graph.producers.get(x)
        if norm is None or not isinstance(norm.op, LayerNorm) or other not in graph.constants:
            continue
        given = (*norm.inputs, None, None)[:3]
        shape = graph.types[x].shape[norm.op.axis :]
        array = graph.constants[other].array
        lost = array.ndim - len(shape)
        fits = array.size == np.prod(shape) and array.shape[max(lost, 0) :] == shape
        applied = any(value is not None for value in given[role:])
        if applied or not fits or graph.only_use(x) is not node:
            continue
        vector = edit.constant(array.reshape(shape), other)
        inputs = [vector if i == role else v for i, v in enumerate(given)]
        made = edit.add(norm.op, *inputs, name=x)
        edit.bequeath(x, made)
        return made
    return None


def linear_layer(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A product with a constant matrix is a linear layer."""
    bound = match(graph, node.name, Apply("matmul", X, Constant("w", 2)))
    if bound is None or graph.types[bound["x"]].rank < 2 or graph.types[bound["w"]].encodings:
        return None
    if not graph.types[node.name].dtype.is_float:
        return None
    weight = np.ascontiguousarray(graph.constants[bound["w"]].array.T)
    return edit.add(Linear(), bound["x"], edit.constant(weight, bound["w"]), name=node.name)


def linear_bias(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A vector that is added to a linear layer without bias is its bias."""
    for x, other in (node.operands, node.operands[::-1]) if len(node.operands) == 2 else ():
        layer = graph.producers.get(x)
        if layer is None or layer.kind != "linear" or graph.only_use(x) is not node:
            continue
        array = graph.constants[other].array if other in graph.constants else None
        width = graph.types[x].shape[-1]
        biased = len(layer.operands) > 2
        if biased or array is None or array.size != width or array.shape[-1:] != (width,):
            continue
        bias = edit.constant(array.reshape(width), other)
        made = edit.add(layer.op, *layer.operands[:2], bias, name=x)
        edit.bequeath(x, made)
        return made
    return None
