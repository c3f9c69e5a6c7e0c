"""Facts about a graph that need no target: parameters, bytes, operations."""

from codesign.ir.graph import Graph, Node


def parameters(graph: Graph) -> int:
    """Elements of all floating-point constants; a sparse one counts those that are not zero."""
    total = 0
    for name, const in graph.constants.items():
        kind = graph.types[name]
        if kind.dtype.is_float:
            stored = const.array if kind.structure is None else const.array[const.array != 0]
            total += int(stored.size)
    return total


def stored_bytes(graph: Graph) -> int:
    """Bytes of all constants as their types store them."""
    return sum(-(-graph.types[name].bits // 8) for name in graph.constants)


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one run."""
    return sum(node_macs(graph, node) for node in graph.nodes)


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node, zeros and padding included."""
    nest = node.op.loops(graph.input_types(node), graph.output_types(node))
    return nest.macs if nest else 0


def bit_operations(graph: Graph) -> int:
    """Multiply-accumulates, each times the widths of its first two operands in bits."""
    total = 0
    for node in graph.nodes:
        if count := node_macs(graph, node):
            first, second = (_width(graph, value) for value in node.operands[:2])
            total += count * first * second
    return total


def _width(graph: Graph, value: str) -> int:
    """Bits of one element of `value`."""
    kind = graph.types[value]
    if kind.element is None:
        return kind.dtype.bits
    return kind.element.bits((1,), kind.dtype.bits) - kind.element.bits((0,), kind.dtype.bits)
