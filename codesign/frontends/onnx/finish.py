"""The last steps of an import: outputs, names, dead values, quantized regions."""

from collections.abc import Sequence

from codesign.errors import InvalidModelError, VerificationError
from codesign.frontends.finite import check_layers
from codesign.frontends.onnx.emit import Emitter
from codesign.frontends.onnx.regions import settle_regions
from codesign.frontends.onnx.value import Value
from codesign.ir.graph import Graph, Node
from codesign.ir.verify import verify_graph


def finish_graph(emit: Emitter, outputs: Sequence[Value], names: Sequence[str]) -> Graph:
    """The verified graph that returns `outputs` under the public `names`."""
    if not outputs:
        raise InvalidModelError("the graph has no outputs")
    if len(set(names)) < len(names):
        raise InvalidModelError(f"the graph returns a name twice: {', '.join(names[:8])}")
    values = [emit.name(value) for value in outputs]
    builder = emit.builder
    graph = Graph(
        builder.name,
        tuple(builder.inputs),
        tuple(values),
        tuple(names),
        tuple(builder.nodes),
        builder.types,
        builder.constants,
    )
    try:
        graph = settle_regions(renamed(live(graph), emit.wanted))
        graph = renamed(graph, _public(graph))
        verify_graph(graph)
    except VerificationError as error:
        raise InvalidModelError(f"the model does not make a valid graph: {error}") from None
    return check_layers(graph)


def _public(graph: Graph) -> dict[str, str]:
    """The public name of each value that is returned once."""
    pairs = zip(graph.outputs, graph.output_names, strict=True)
    return {value: name for value, name in pairs if graph.outputs.count(value) == 1}


def live(graph: Graph) -> Graph:
    """`graph` without the nodes, types and constants that no output needs."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            kept.append(node)
            needed |= set(node.operands)
    nodes = tuple(reversed(kept))
    results = {value for node in nodes for value in node.outputs}
    values = needed | results | set(graph.inputs)
    return Graph(
        graph.name,
        graph.inputs,
        graph.outputs,
        graph.output_names,
        nodes,
        {name: kind for name, kind in graph.types.items() if name in values},
        {name: const for name, const in graph.constants.items() if name in needed},
    )


def renamed(graph: Graph, wanted: dict[str, str]) -> Graph:
    """`graph` with its values called as `wanted`; inputs keep their names, clashes get a suffix."""
    taken = set(graph.inputs)
    final = {name: name for name in graph.inputs}
    order = [*graph.outputs, *graph.constants, *(v for node in graph.nodes for v in node.outputs)]
    counts: dict[str, int] = {}
    for value in dict.fromkeys(order):
        if value not in final:
            final[value] = _free(wanted.get(value, value), taken, counts)
            taken.add(final[value])
    nodes = tuple(
        Node(
            node.op,
            tuple(None if v is None else final[v] for v in node.inputs),
            tuple(final[v] for v in node.outputs),
        )
        for node in graph.nodes
    )
    return Graph(
        graph.name,
        graph.inputs,
        tuple(final[v] for v in graph.outputs),
        graph.output_names,
        nodes,
        {final[v]: kind for v, kind in graph.types.items()},
        {final[v]: const for v, const in graph.constants.items()},
    )


def _free(name: str, taken: set[str], counts: dict[str, int]) -> str:
    """`name`, or the first of `name_1`, `name_2`, ... that is not taken."""
    candidate = name
    while candidate in taken:
        counts[name] = counts.get(name, 0) + 1
        candidate = f"{name}_{counts[name]}"
    return candidate
