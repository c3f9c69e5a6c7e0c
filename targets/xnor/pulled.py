"""A maximum of windows, done behind a chain of thresholds instead of in front of them."""

from dataclasses import replace

from codesign.ir.graph import Graph, Node


def pulled(graph: Graph, pool: Node) -> Graph:
    """`graph` with those that read `pool` reading what it reads, in that shape.

    Thresholds are monotone in each channel, so the code of the largest sum of a window is the
    largest of its codes where they rise, the smallest where they fall.
    """
    source = pool.operands[0]
    shape, types, nodes = graph.types[source].shape, dict(graph.types), []
    behind = {pool.name}
    for node in graph.nodes:
        if node is pool:
            continue
        if behind.isdisjoint(node.operands):
            nodes.append(node)
            continue
        inputs = tuple(source if v == pool.name else v for v in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        if node.op.elementwise or node.kind == "batch_norm":
            behind.update(node.outputs)
            types.update((v, replace(types[v], shape=shape)) for v in node.outputs)
    return replace(graph, nodes=tuple(nodes), types=types)
