"""Ops that change nothing."""

from math import inf

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.activation import Clip
from codesign.ir.ops.join import Pad
from codesign.ir.ops.shape import Transpose
from codesign.rewrite.edit import Edit
from codesign.rewrite.pattern import number

NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0, "pow": 1.0}
COMMUTES = frozenset({"add", "mul"})


def neutral_operand(graph: Graph, node: Node, edit: Edit) -> str | None:
    """x + 0, x - 0, x * 1, x / 1, x ** 1."""
    a, b = node.operands if len(node.operands) == 2 else (node.operands[0],) * 2
    for x, other in ((a, b), (b, a))[: 2 if node.kind in COMMUTES else 1]:
        if number(graph, other) == NEUTRAL[node.kind] and _same(graph, x, node):
            return x
    return None


def same_type(graph: Graph, node: Node, edit: Edit) -> str | None:
    """Reshapes, expands, casts, slices and joins whose result is their operand."""
    x = node.operands[0]
    if node.kind == "slice" and any(step != 1 for step in node.op.steps):  # type: ignore[attr-defined]
        return None
    return x if len(node.operands) == 1 and _same(graph, x, node) else None


def still_transpose(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A transpose that moves no axis of more than one element past another is a reshape."""
    assert isinstance(node.op, Transpose)
    x = node.operands[0]
    order = node.op.perm or tuple(reversed(range(graph.types[x].rank)))
    moved = [axis for axis in order if graph.types[x].shape[axis] != 1]
    if moved != sorted(moved):
        return None
    from codesign.ir.ops.shape import Reshape

    return edit.add(Reshape(graph.types[node.name].shape), x, name=node.name)


def unbounded_clip(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A clip between infinities; one between 0 and infinity is a relu."""
    assert isinstance(node.op, Clip)
    from codesign.ir.ops.activation import Relu

    if (node.op.low, node.op.high) == (-inf, inf):
        return node.operands[0]
    if (node.op.low, node.op.high) == (0.0, inf):
        return edit.add(Relu(), node.operands[0], name=node.name)
    return None


def empty_pad(graph: Graph, node: Node, edit: Edit) -> str | None:
    """A pad by nothing."""
    assert isinstance(node.op, Pad)
    return node.operands[0] if not any(any(pad) for pad in node.op.pads) else None


def _same(graph: Graph, x: str, node: Node) -> bool:
    return graph.types[x] == graph.types[node.name]
