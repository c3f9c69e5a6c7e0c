"""The networkx view: what it holds, and analyses over it."""

import networkx as nx
import numpy as np
from hypothesis import given, settings

from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.join import Split
from codesign.ir.view import to_networkx
from tests.ir.graph_strategies import graphs


def residual() -> Graph:
    """y = relu(conv3(relu(conv1(x))) + conv2(x)), the squares of halves of it beside."""
    b = Builder("residual")
    x = b.input("x", (1, 2, 6, 6))
    w1 = b.constant(np.ones((8, 2, 3, 3), np.float32), "w1")
    w2 = b.constant(np.ones((8, 2, 1, 1), np.float32), "w2")
    w3 = b.constant(np.ones((8, 8, 3, 3), np.float32), "w3")
    same = Conv(pads=((1, 1), (1, 1)))
    left = b.op(same, b.op(Relu(), b.op(same, x, w1, name="conv1"), name="r1"), w3, name="conv3")
    right = b.op(Conv(), x, w2, name="conv2")
    y = b.op(Relu(), b.op(Add(), left, right, name="sum"), name="y")
    first, second = b.results(Split(1, (4, 4)), y, names=["half"])
    square = b.op(Mul(), second, second, name="square")
    return b.graph(y, first, square, output_names=["y", "first", "square"])


def test_what_it_holds() -> None:
    graph = residual()
    view = to_networkx(graph)
    assert view.graph == {
        "name": "residual",
        "outputs": ("y", "half", "square"),
        "output_names": ("y", "first", "square"),
    }
    roles = dict(view.nodes(data="role"))
    assert [n for n, role in roles.items() if role == "input"] == ["x"]
    assert [n for n, role in roles.items() if role == "constant"] == ["w1", "w2", "w3"]
    assert [n for n, role in roles.items() if role == "op"] == [n.name for n in graph.nodes]
    assert view.nodes["conv2"]["node"] is graph.by_name["conv2"]
    assert view.edges["w2", "conv2", 1] == {"value": "w2", "type": graph.types["w2"]}
    assert view.number_of_edges("half", "square") == 2
    assert view.edges["half", "square", 1]["value"] == "half_1"


def test_critical_path_by_macs() -> None:
    """The heaviest chain of multiply-accumulates goes through both 3x3 convolutions."""
    graph = residual()
    view = to_networkx(graph)
    for source, target, key in view.edges:
        node = view.nodes[target]["node"]
        nest = node.op.loops(graph.input_types(node), graph.output_types(node))
        view.edges[source, target, key]["cost"] = nest.macs if nest else 0
    path = nx.dag_longest_path(view, weight="cost")
    assert [name for name in path if name.startswith("conv")] == ["conv1", "conv3"]
    assert nx.dag_longest_path_length(view, weight="cost") == 36 * 9 * (2 * 8 + 8 * 8)


def test_what_lies_between() -> None:
    view = to_networkx(residual())
    between = nx.descendants(view, "r1") & nx.ancestors(view, "y")
    assert between == {"conv3", "sum"}


@settings(deadline=None, max_examples=25)
@given(graphs())
def test_order_and_edges(graph: Graph) -> None:
    view = to_networkx(graph)
    assert view.number_of_edges() == sum(len(node.operands) for node in graph.nodes)
    place = {name: i for i, name in enumerate(view)}
    assert all(place[source] < place[target] for source, target in view.edges())
    order = list(nx.topological_sort(view))
    assert sorted(order) == sorted([*graph.inputs, *graph.constants, *graph.by_name])
