"""Which layers of a graph a compression pass may change."""

import fnmatch
from collections.abc import Callable, Collection, Iterator

import numpy as np

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
        return f"stored as int{code.width}, and {who} needs floats: run it before quantizing"
    if structure is not None:
        return f"stored as {structure}, and {who} would fill its zeros: run it before pruning"
    return f"stored as {kind}, and {who} needs plain floats" if kind.encodings else ""


def plain_layers(graph: Graph, skip: tuple[str, ...], context: Context, who: str) -> Iterator[Node]:
    """Convolutions and linear layers that pass `who` may change, but those of patterns `skip`.

    Their weights are constants without encodings; what has others is noted.
    """
    return constant_layers(graph, skip, context, who, lambda kind: stored(kind, who))


def constant_layers(
    graph: Graph,
    skip: tuple[str, ...],
    context: Context,
    who: str,
    refuse: Callable[[TensorType], str],
) -> Iterator[Node]:
    """Convolutions and linear layers of constant, finite weights, but those of patterns `skip`.

    Others, and those for whose weight's type `refuse` has a reason, are noted.
    """
    left = skipped(graph, skip, who)
    for node in graph.nodes:
        if node.kind not in LAYERS or node.name in left:
            continue
        if why := _not_constant(graph, node) or refuse(graph.types[node.operands[1]]):
            context.note(node.name, why, done=False)
        else:
            yield node


def _not_constant(graph: Graph, node: Node) -> str:
    if not all(v in graph.constants for v in node.operands[1:]):
        return "its weight is no constant"
    finite = np.isfinite(graph.constants[node.operands[1]].array).all()
    return "" if finite else "its weight holds NaN or infinity"
