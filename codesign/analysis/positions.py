"""What values integer inputs may hold because they pick rows or elements of something."""

from collections.abc import Iterator, Mapping
from typing import Any

from codesign.ir.graph import Graph, Node

Bounds = tuple[int, int]
SAME_ELEMENTS = frozenset(
    {"reshape", "flatten", "squeeze", "expand_dims", "transpose", "expand", "cast"}
)


def position_bounds(graph: Graph) -> Mapping[str, Bounds]:
    """The least and greatest value that each integer input may hold, where it is an index.

    Followed through ops that keep every element. Negative positions count from the end, except for
    an embedding, whose torch original refuses them. Several coordinates in one tensor are bounded
    by the longest of their axes.
    """
    found = {}
    for name in graph.inputs:
        bounds = list(_bounds(graph, name)) if graph.types[name].dtype.is_integer else []
        if bounds:
            found[name] = max(low for low, _ in bounds), min(high for _, high in bounds)
    return found


def _bounds(graph: Graph, value: str) -> Iterator[Bounds]:
    for node in graph.consumers[value]:
        if node.kind in SAME_ELEMENTS and graph.types[node.name].dtype.is_integer:
            yield from _bounds(graph, node.name)
        extent = _picked(graph, node, value)
        if extent:
            yield (0 if node.kind == "embedding" else -extent), extent - 1


def _picked(graph: Graph, node: Node, value: str) -> int:
    """Extent of the axis that `value` picks from in `node`; 0 if it is no index there."""
    op: Any = node.op
    if node.kind == "embedding":
        indices, table = node.operands
        return graph.types[table].shape[0] if indices == value else 0
    if node.kind not in ("gather", "gather_elements", "gather_nd", "scatter_elements"):
        return 0
    x, indices, *others = node.operands
    if indices != value or value in (x, *others):
        return 0
    shape = graph.types[x].shape
    if node.kind == "gather_nd":
        count = graph.types[indices].shape[-1]
        return max(shape[op.batch : op.batch + count], default=0)
    axis: int = op.axis
    return shape[axis]
