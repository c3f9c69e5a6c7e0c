"""Layers of multiplications whose operands are no codes."""

from codesign.analysis.codes import sums_codes
from codesign.analysis.counts import node_macs
from codesign.ir.graph import Graph, Node


def in_float(graph: Graph) -> list[Node]:
    """The nodes that multiply, but not codes: a machine that takes codes alone cannot run them."""
    return [
        node for node in graph.nodes if node_macs(graph, node) and not sums_codes(node, graph.types)
    ]
