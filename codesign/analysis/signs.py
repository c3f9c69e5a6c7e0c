"""Which values cannot be negative."""

from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.activation import Clip
from codesign.ir.ops.join import Pad

NEVER = frozenset({"abs", "exp", "hard_sigmoid", "relu", "sigmoid", "softmax", "softplus", "sqrt"})
IF_ALL_ARE = frozenset(  # of results that are never less than all operands, or sums of them
    {
        "add", "avg_pool", "concat", "decode", "depth_to_space", "encode", "expand", "expand_dims",
        "flatten", "max", "max_pool", "min", "mul", "pad", "reduce_max", "reduce_mean",
        "reduce_min", "reduce_sum", "relayout", "reshape", "slice", "space_to_depth", "split",
        "squeeze", "tile", "transpose",
    }
)  # fmt: skip


def nonnegative(graph: Graph) -> frozenset[str]:
    """The values of `graph` that are at least 0 whatever its inputs are."""
    found = {v for v, c in graph.constants.items() if c.array.size and bool((c.array >= 0).all())}
    for node in graph.nodes:
        known = _unsigned(graph.types[node.name].integer) or _nonnegative(node, found)
        found |= set(node.outputs) if known else set()
    return frozenset(found)


def _nonnegative(node: Node, found: set[str]) -> bool:
    """Whether the results of `node` are, where the values `found` are."""
    if isinstance(node.op, Clip):
        return node.op.low >= 0
    if isinstance(node.op, Pad) and node.op.mode == "constant" and node.op.value < 0:
        return False
    if node.kind in NEVER:
        return True
    return node.kind in IF_ALL_ARE and bool(node.operands) and set(node.operands) <= found


def _unsigned(form: Int | None) -> bool:
    """Whether no code of `form` stands for less than 0."""
    return form is not None and bool((form.zero.array <= form.low).all())
