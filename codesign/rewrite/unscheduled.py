"""Taking back what scheduling decided: placement, layouts and conversions between them."""

from dataclasses import replace

from codesign.ir.program import Program


def without_layouts(program: Program) -> Program:
    """`program`, not placed, with every value plain and no relayout nodes."""
    graph = program.graph
    same: dict[str, str] = {}
    for node in graph.walk("relayout"):
        same[node.name] = same.get(node.operands[0], node.operands[0])
    nodes = tuple(
        replace(n, inputs=tuple(None if v is None else same.get(v, v) for v in n.inputs))
        for n in graph.nodes
        if n.name not in same
    )
    kept = {v: t.without("layout") for v, t in graph.types.items() if v not in same}
    outputs = tuple(same.get(v, v) for v in graph.outputs)
    if not same and all(t == graph.types[v] for v, t in kept.items()):
        return replace(program, placement=()) if program.placement else program
    plain = replace(graph, nodes=nodes, types=kept, outputs=outputs)
    return replace(program, graph=plain, placement=())
