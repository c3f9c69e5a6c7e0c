"""Quantized regions: encoded results instead of encode nodes, decode where a region ends.

    %a: f32 = conv(%x_int8, %w_int8)            %b: f32<int8> = conv(%x_int8, %w_int8)
    %b: f32<int8> = encode(%a)             ->
    %c: f32 = softmax(%b)                       %d: f32 = decode(%b)
                                                %c: f32 = softmax(%d)

A node is inside a region if all its operands that are not constants are encoded, or are results of
nodes inside that nothing else reads. Contractions (ops with a loop nest) take encoded operands even
where their result stays plain: that is an integer product whose sums are dequantized. Layers of
which a factor has three bits or fewer are no part of a region: their sums, and what follows, are
exact in floats, and an encode node behind gives codes by thresholds on the sums.
"""

from collections.abc import Mapping
from dataclasses import replace

from codesign.frontends.onnx.coded import (
    FEW_BITS,
    MOVES,
    carry_codes,
    few_bits,
    settle_biases,
)
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Decode, Encode


def settle_regions(graph: Graph) -> Graph:
    """`graph` with its encode nodes absorbed by the ops before, and decode nodes at borders."""
    if not any(kind.grid for kind in graph.types.values()):
        return graph
    return _decoded(_absorbed(settle_biases(carry_codes(graph))))


def inside_nodes(graph: Graph) -> set[str]:
    """Names of the nodes inside quantized regions."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.kind in ("encode", "decode", "codes") or few_bits(graph, node):
            continue
        data = [v for v in node.operands if v not in graph.constants]
        if data and all(_settled(graph, value, found) for value in data):
            found.add(node.name)
    return found


def _settled(graph: Graph, value: str, inside: set[str]) -> bool:
    """Whether a quantized node may read `value`."""
    if graph.types[value].integer is not None:
        return True
    maker = graph.producers.get(value)
    return maker is not None and maker.name in inside and graph.only_use(value) is not None


def _absorbed(graph: Graph) -> Graph:
    """Give encodings to the results that one encode node reads, and drop that node."""
    inside = inside_nodes(graph)
    moved: dict[str, str] = {}
    types = dict(graph.types)
    nodes = []
    for node in graph.nodes:
        source = node.operands[0] if node.operands else ""
        maker = graph.producers.get(source)
        if (
            isinstance(node.op, Encode)
            and _many_levels(graph, node.name)
            and maker is not None
            and maker.name in inside
            and graph.only_use(source) is node
        ):
            types[source] = types.pop(node.name)
            moved[node.name] = source
        else:
            nodes.append(node)
    return replace(
        graph,
        nodes=tuple(_reading(node, moved) for node in nodes),
        types=types,
        outputs=tuple(moved.get(v, v) for v in graph.outputs),
    )


def _many_levels(graph: Graph, value: str) -> bool:
    """Whether an operation may compute the codes of `value` itself."""
    form = graph.types[value].integer
    return form is not None and form.width > FEW_BITS


def _reading(node: Node, moved: Mapping[str, str]) -> Node:
    return replace(node, inputs=tuple(moved.get(v, v) if v else v for v in node.inputs))


def _stays_encoded(graph: Graph) -> set[str]:
    """Nodes inside regions that are contractions or whose results are encoded, in the end."""
    inside, found = inside_nodes(graph), set()
    for node in reversed(graph.nodes):
        encoded = any(kind.grid is not None for kind in graph.output_types(node))
        if few_bits(graph, node) or (encoded and node.kind in MOVES):
            found.add(node.name)
        if node.name not in inside:
            continue
        nest = node.op.loops(graph.input_types(node), graph.output_types(node))
        onwards = [graph.only_use(value) for value in node.outputs]
        feeds = any(reader is not None and reader.name in found for reader in onwards)
        if encoded or nest is not None or feeds:
            found.add(node.name)
    return found


def _decoded(graph: Graph) -> Graph:
    """Decode encoded values for the nodes outside regions and for the graph's outputs."""
    kept = _stays_encoded(graph)
    types, nodes, plain = dict(graph.types), [], {}

    def decode(value: str) -> str:
        if value not in plain:
            plain[value] = f"{value}.decode"
            types[plain[value]] = types[value].without("element")
            nodes.append(Node(Decode(), (value,), (plain[value],)))
        return plain[value]

    def encoded(value: str | None) -> bool:
        dynamic = value is not None and value not in graph.constants
        return dynamic and graph.types[value or ""].grid is not None

    for node in graph.nodes:
        keep = node.name in kept or node.kind in ("encode", "decode", "codes")
        inputs = tuple(v if keep or not encoded(v) else decode(str(v)) for v in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    outputs = tuple(decode(v) if encoded(v) else v for v in graph.outputs)
    return replace(graph, nodes=tuple(nodes), types=types, outputs=outputs)
