"""Whether what follows a layer of codes is a function of its sums that only rises or only falls."""

from collections.abc import Sequence

from codesign.analysis.codes import sums_codes
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType

MONOTONE = frozenset(
    {"add", "batch_norm", "clip", "decode", "div", "encode", "mul", "neg", "relu", "sub"}
)
MOST_LEVELS = 256


def no_steps(graph: Graph, layer: Node, chain: Sequence[Node]) -> str:
    """Why the end of `chain` behind `layer` is no steps of its sums, "" if it is.

    `chain` are the nodes that read one another from the layer's result on; it may be empty.
    """
    if why := no_order(graph, layer, chain):
        return why
    last = chain[-1].name if chain else layer.name
    out = graph.types[last].grid
    if out is None:
        return f"%{last} is not stored in codes"
    if out.axis is not None or 1 << out.code_bits > MOST_LEVELS:
        return f"steps give codes of one scale and at most {MOST_LEVELS} levels, %{last} is {out}"
    return ""


def no_order(graph: Graph, layer: Node, chain: Sequence[Node]) -> str:
    """Why the end of `chain` behind `layer` does not rise or fall with its sums, "" if it does."""
    if not sums_codes(layer, graph.types):
        return f"{layer.kind} %{layer.name} does not add up products of codes"
    value, channel = layer.name, channel_axis(graph, layer)
    for node in chain:
        others = [v for v in node.operands if v != value]
        if node.kind not in MONOTONE:
            return f"{node.kind} %{node.name} is no step of one sum"
        if node.operands.count(value) != 1 or any(v not in graph.constants for v in others):
            return f"{node.kind} %{node.name} reads more than %{value} and constants"
        if any(_varies(graph.types[v], graph.types[value].rank, channel) for v in others):
            return f"a constant of {node.kind} %{node.name} varies within a channel"
        value = node.name
    return ""


def channel_axis(graph: Graph, layer: Node) -> int:
    """The axis of the channels in a layer's result."""
    return 1 if layer.kind == "conv" else graph.types[layer.name].rank - 1


def _varies(kind: TensorType, rank: int, channel: int) -> bool:
    """True if a constant is more than a vector over the channels, as broadcasting lays it."""
    if kind.rank == 1 and channel == 1:
        return False  # of a batch norm; of others the shape says it
    lost = rank - kind.rank
    return any(extent != 1 and axis + lost != channel for axis, extent in enumerate(kind.shape))
