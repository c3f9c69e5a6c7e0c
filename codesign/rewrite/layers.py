"""Which layers of a graph a compression pass may change."""

import fnmatch
from collections.abc import Iterator

from codesign.ir.graph import Graph, Node
from codesign.rewrite.context import Context

LAYERS = frozenset({"conv", "linear"})


def plain_layers(graph: Graph, skip: tuple[str, ...], context: Context) -> Iterator[Node]:
    """Convolutions and linear layers with constant, unencoded float weights, but those skipped.

    `skip` holds patterns of names (as in a shell). Layers that are left out are noted.
    """
    for node in graph.nodes:
        if node.kind not in LAYERS:
            continue
        if any(fnmatch.fnmatch(node.name, pattern) for pattern in skip):
            context.note(node.name, "left alone as asked", done=False)
            continue
        constant = all(v in graph.constants for v in node.operands[1:])
        if not constant or graph.types[node.operands[1]].encodings:
            context.note(node.name, "its weight is no plain constant", done=False)
            continue
        yield node
