"""What a graph computes, layouts left aside, in a form that compares."""

from typing import Any

from codesign.ir.graph import Graph


def meaning(graph: Graph) -> tuple[Any, ...]:
    """Equal for two graphs that differ at most in where values are converted between layouts."""
    source: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(None if v is None else source.get(v, v) for v in node.inputs)
        if node.kind == "relayout":
            source[node.name] = str(inputs[0])
        else:
            types = tuple(graph.types[v].without("layout") for v in node.outputs)
            nodes.append((node.op, inputs, node.outputs, types))
    outputs = tuple(source.get(v, v) for v in graph.outputs)
    return graph.inputs, tuple(nodes), outputs, dict(graph.constants)
