"""A graph as a networkx graph, for analyses; it is a copy, and never the storage."""

from typing import TYPE_CHECKING

from codesign.ir.graph import Graph

if TYPE_CHECKING:
    from networkx import MultiDiGraph


def to_networkx(graph: Graph) -> "MultiDiGraph":
    """Ops, inputs and constants as nodes, each use of a value as an edge.

    Nodes are named after their (first) value and carry `role` ("input", "constant" or "op") and,
    for ops, `node`, the `Node`; they are added inputs first, then constants, then ops in order.
    An edge goes from what makes a value to the op that reads it as input number `key` and carries
    `value` and `type`. The graph's own attributes are `name`, `outputs` and `output_names`.

        networkx.dag_longest_path(view, weight="cost")     # after costs were put on the edges
        networkx.weakly_connected_components(view.subgraph(wanted))
    """
    from networkx import MultiDiGraph

    view = MultiDiGraph(name=graph.name, outputs=graph.outputs, output_names=graph.output_names)
    view.add_nodes_from(graph.inputs, role="input")
    view.add_nodes_from(graph.constants, role="constant")
    for node in graph.nodes:
        view.add_node(node.name, role="op", node=node)
        for number, value in enumerate(node.inputs):
            if value is not None:
                made = graph.producers.get(value)
                source = value if made is None else made.name
                view.add_edge(source, node.name, number, value=value, type=graph.types[value])
    return view
