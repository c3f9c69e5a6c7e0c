"""The order of a graph's nodes, and what makes a graph none: cycles, duplicates, open ends."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

from onnx import AttributeProto, GraphProto, NodeProto

from codesign.errors import InvalidModelError


def describe(node: NodeProto) -> str:
    """`Conv node 'conv1'`, by its first output if it has no name."""
    name = node.name or next(iter(node.output), "")
    domain = f"{node.domain}." if node.domain else ""
    return f"{domain}{node.op_type} node {name!r}"


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def reads(node: NodeProto) -> list[str]:
    """Values that `node` reads, those that its subgraphs take from outside included."""
    found = dict.fromkeys(name for name in node.input if name)
    for graph in subgraphs(node):
        inside = {value.name for value in graph.input}
        inside |= {tensor.name for tensor in graph.initializer}
        inside |= {name for inner in graph.node for name in inner.output}
        outside = [name for inner in graph.node for name in reads(inner)]
        outside += [value.name for value in graph.output]
        found |= dict.fromkeys(name for name in outside if name not in inside)
    return list(found)


def readers(nodes: Iterable[NodeProto]) -> dict[str, str]:
    """The first node that reads each value, in words."""
    found: dict[str, str] = {}
    for node in nodes:
        for name in reads(node):
            found.setdefault(name, f"{describe(node)} (operator {node.op_type})")
    return found


def sort_nodes(nodes: Iterable[NodeProto], given: set[str], where: str) -> list[NodeProto]:
    """`nodes` so that each follows what it reads; ties keep the file's order.

    `given` are the values known beforehand. InvalidModelError for a value defined twice, one that
    nothing defines, and a cycle, naming nodes.
    """
    ordered = list(nodes)
    makers = _makers(ordered, given, where)
    waiting: list[int] = []
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(ordered):
        sources = _sources(node, makers, given, where)
        waiting.append(len(sources))
        for source in sources:
            readers.setdefault(source, []).append(number)
    ready = [number for number, count in enumerate(waiting) if not count]
    heapify(ready)
    result = []
    while ready:
        number = heappop(ready)
        result.append(ordered[number])
        for reader in readers.get(number, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, reader)
    if len(result) < len(ordered):
        raise _cycle([node for node, count in zip(ordered, waiting, strict=True) if count], where)
    return result


def _makers(nodes: list[NodeProto], given: set[str], where: str) -> dict[str, int]:
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in node.output:
            if name and (name in makers or name in given):
                raise InvalidModelError(
                    f"{where} defines value {name!r} twice, the second time as an output of "
                    f"{describe(node)}; names must be unique"
                )
            if name:
                makers[name] = number
    return makers


def _sources(node: NodeProto, makers: dict[str, int], given: set[str], where: str) -> set[int]:
    sources = set()
    for name in reads(node):
        if name in makers:
            sources.add(makers[name])
        elif name not in given:
            raise InvalidModelError(
                f"{describe(node)} in {where} reads {name!r}, which is no input, initializer or "
                "output of another node"
            )
    return sources


def _cycle(stuck: list[NodeProto], where: str) -> InvalidModelError:
    """The error for nodes that wait for each other, naming one loop of them."""
    makers = {name: node for node in stuck for name in node.output if name}
    node = stuck[0]
    path: list[NodeProto] = []
    while not any(node is seen for seen in path):
        path.append(node)
        node = next(makers[name] for name in reads(node) if name in makers)
    start = next(i for i, seen in enumerate(path) if seen is node)
    loop = " <- ".join(describe(seen) for seen in [*path[start:][:6], node])
    return InvalidModelError(f"{where} has a cycle: {loop}; a graph must be acyclic")
