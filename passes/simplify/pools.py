"""Codes of few bits before max pools."""

from dataclasses import replace

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Encode
from codesign.rewrite.edit import Edit

MOST_BITS = 3  # of codes that are pooled at less cost than what they are made of


def pooled(graph: Graph) -> Graph:
    """`graph` with codes of few bits taken before max pools, not behind: they rise with the values.

    So what makes the values can make the codes at once.
    """
    edit = Edit(graph)
    for node in graph.walk("encode"):
        _swap(graph, node, edit)
    changed = edit.graph()
    return graph if changed is graph else pooled(changed)


def _swap(graph: Graph, node: Node, edit: Edit) -> None:
    """Pool the codes of `node` instead of what it encodes, if that is a plain maximum."""
    kind, pool = graph.types[node.name], graph.producers.get(node.operands[0])
    form = kind.grid
    if form is None or form.axis is not None or form.code_bits > MOST_BITS or pool is None:
        return
    if pool.kind != "max_pool" or len(pool.outputs) > 1 or graph.only_use(pool.name) is not node:
        return
    source = graph.types[pool.operands[0]]
    if source.element is not None or graph.types[pool.name].element is not None:
        return
    before = replace(source, encodings=kind.encodings)
    codes = edit.add(Encode(), pool.operands[0], name=f"{pool.name}.codes", types=[before])
    edit.replace(node.name, edit.add(pool.op, codes, name=pool.name, types=[kind]))
