"""What a few layers cost on a target, asked with a program of their own."""

from collections.abc import Callable

from codesign.analysis.estimate import Estimate
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.rewrite.context import Target

Body = Callable[[Builder, str], str]


def latency_ms(target: Target, x: TensorType, body: Body) -> float:
    """Estimated latency of what `body(builder, x)` builds on a value of type `x`.

    The conversions from and to plain layouts at both ends are not counted: in a network they are
    shared with the neighbours.
    """
    return estimate(target, x, body).latency_ms


def estimate(target: Target, x: TensorType, body: Body) -> Estimate:
    """What `body(builder, x)` costs on a value of type `x`, its layout aside, as `latency_ms`."""
    builder = Builder("layer")
    value = builder.input("x", x.shape, x.dtype)
    builder.types[value] = x.without("layout")
    placed = target.place(Program(builder.graph(body(builder, value))))
    layers = target.estimate(placed).layers
    return Estimate(tuple(layer for layer in layers if layer.op != "relayout"))


def node_latency_ms(target: Target, graph: Graph, node: Node) -> float:
    """Estimated latency of one node of `graph` whose first input alone is not constant."""

    def body(builder: Builder, x: str) -> str:
        inputs: list[str | None] = [x]
        for value in node.inputs[1:]:
            if value is None:
                inputs.append(None)
                continue
            kind = graph.types[value]
            inputs.append(builder.constant(graph.constants[value], value, kind.encodings))
        return builder.op(node.op, *inputs, name=node.name)

    return latency_ms(target, graph.types[node.operands[0]], body)
