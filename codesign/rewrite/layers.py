"""Which layers of a graph a compression pass may change."""

import fnmatch
from collections.abc import Collection, Iterator

from codesign.errors import UnknownNameError
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType
from codesign.rewrite.context import Context

LAYERS = frozenset({"conv", "linear"})


def skipped(graph: Graph, skip: tuple[str, ...], who: str, more: Collection[str] = ()) -> set[str]:
    """The layers that the patterns `skip` (as in a shell) name, for the option `skip` of `who`.

    `more` are nodes that `who` changes besides convolutions and linear layers. UnknownNameError for
    a pattern that names none of them.
    """
    names = [node.name for node in graph.nodes if node.kind in LAYERS or node.name in more]
    found: set[str] = set()
    for pattern in skip:
        matching = fnmatch.filter(names, pattern.removeprefix("%"))
        if not matching:
            raise UnknownNameError(f"layer in option skip of {who}:", pattern, names)
        found.update(matching)
    return found


def stored(kind: TensorType, who: str) -> str:
    """Why pass `who` cannot change a weight that is stored as `kind`, "" if it is plain."""
    code, structure = kind.integer, kind.structure
    if code is not None:
        return f"already stored as int{code.width}; put {who} before quantize-int8"
    if structure is not None:
        return f"already stored as {structure}; put {who} before the pass that did that"
    return f"already stored as {kind}" if kind.element is not None else ""


def plain_layers(graph: Graph, skip: tuple[str, ...], context: Context, who: str) -> Iterator[Node]:
    """Convolutions and linear layers that pass `who` may change, but those of patterns `skip`.

    Their weights are constants without element and structure encodings; what has others is noted.
    """
    left = skipped(graph, skip, who)
    for node in graph.nodes:
        if node.kind not in LAYERS or node.name in left:
            continue
        constant = all(v in graph.constants for v in node.operands[1:])
        kind = graph.types[node.operands[1]]
        if not constant:
            context.note(node.name, "its weight is no constant", done=False)
        elif why := stored(kind, who):
            context.note(node.name, why, done=False)
        elif kind.encodings:
            context.note(node.name, f"already stored as {kind}", done=False)
        else:
            yield node
