"""Names that survive a rewrite: what takes the place of a value takes its name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from codesign.ir.graph import Graph


def inherited(
    replaced: Sequence[tuple[str, str]], asked: Mapping[str, str], present: Collection[str]
) -> dict[str, str]:
    """The names that added values take over: new name by the one that they have so far.

    `replaced` are (old, new) pairs of values in the old graph's order, `asked` the name that each
    added value was made with, and `present` what the result holds. A value that is gone leaves its
    name to what stands for it, the first one where several do; a name that is left over goes to the
    added value that was made with it.
    """
    found: dict[str, str] = {}
    held = set(present)
    for old, new in replaced:
        if new in asked and new in present and new not in found and old not in held:
            found[new] = old
            held.add(old)
    for new, name in asked.items():
        if new in present and new not in found and name not in held:
            found[new] = name
            held.add(name)
    return found


def renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """`graph` with the values that `names` holds called by their new names."""

    def now(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(names.get(value, value) for value in values)

    nodes = [
        replace(
            node,
            inputs=tuple(None if v is None else names.get(v, v) for v in node.inputs),
            outputs=now(node.outputs),
        )
        if not names.keys().isdisjoint((*node.inputs, *node.outputs))
        else node
        for node in graph.nodes
    ]
    return replace(
        graph,
        outputs=now(graph.outputs),
        nodes=tuple(nodes),
        types={names.get(value, value): kind for value, kind in graph.types.items()},
        constants={names.get(value, value): const for value, const in graph.constants.items()},
    )
