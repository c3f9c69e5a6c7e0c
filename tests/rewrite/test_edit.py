"""Edits: rewiring, placement, liveness, refusals, and random edits against the interpreter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import VerificationError
from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.dtype import DType
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, Relu
from codesign.ir.ops.elementwise import Add, Mul, Sub
from codesign.ir.types import TensorType
from codesign.ir.verify import verify_graph
from codesign.rewrite.edit import Edit


def chain() -> Graph:
    """x -> a=relu -> b=clip -> c=add(b, k); returns c as "out"."""
    b = Builder("chain")
    x = b.input("x", (2, 3))
    k = b.constant(np.ones((2, 3), np.float32), "k")
    a = b.op(Relu(), x, name="a")
    v = b.op(Clip(low=0.0, high=6.0), a, name="b")
    return b.graph(b.op(Add(), v, k, name="c"), output_names=["out"])


def shape_of(graph: Graph) -> list[str]:
    return [f"{n.name}={n.kind}({', '.join(n.operands)})" for n in graph.nodes]


def test_nothing_changed_gives_the_source() -> None:
    graph = chain()
    edit = Edit(graph)
    edit.add(Relu(), "x", name="unused")
    edit.constant(np.zeros(3, np.float32), "unused_too")
    assert edit.graph() is graph


def test_replacement_stands_where_the_old_value_stood() -> None:
    edit = Edit(chain())
    edit.replace("b", edit.add(Relu(), "a", name="b"))
    graph = edit.graph()
    assert shape_of(graph) == ["a=relu(x)", "b=relu(a)", "c=add(b, k)"]
    assert graph.types.keys() == chain().types.keys()


def test_dead_nodes_and_constants_go_but_inputs_stay() -> None:
    edit = Edit(chain())
    edit.replace("c", edit.constant(np.zeros((2, 3), np.float32), "zero"))
    graph = edit.graph()
    assert graph.nodes == ()
    assert graph.inputs == ("x",)
    assert graph.outputs == ("c",)
    assert graph.output_names == ("out",)
    assert set(graph.constants) == {"c"}
    assert set(graph.types) == {"x", "c"}


def test_wrapping_a_value_keeps_the_wrapped_reader() -> None:
    edit = Edit(chain())
    for value in ("x", "a", "k", "c"):
        square = edit.add(Mul(), value, value, name=f"{value}_square")
        edit.replace(value, edit.add(Relu(), square, name=f"{value}_wrapped"))
    assert shape_of(edit.graph()) == [
        "x_square=mul(x, x)",
        "x_wrapped=relu(x_square)",
        "a=relu(x_wrapped)",
        "a_square=mul(a, a)",
        "a_wrapped=relu(a_square)",
        "b=clip(a_wrapped)",
        "k_square=mul(k, k)",
        "k_wrapped=relu(k_square)",
        "c=add(b, k_wrapped)",
        "c_square=mul(c, c)",
        "c_wrapped=relu(c_square)",
    ]


def test_wrapping_through_a_value_replaced_before() -> None:
    edit = Edit(chain())
    reader = edit.add(Relu(), "b", name="reader")  # reads b, which becomes a
    edit.replace("b", "a")
    edit.replace("a", edit.add(Mul(), reader, reader, name="square"))
    assert shape_of(edit.graph()) == [
        "a=relu(x)",
        "reader=relu(a)",
        "b=mul(reader, reader)",
        "c=add(b, k)",
    ]


def test_two_values_wrapped_by_one_subgraph() -> None:
    edit = Edit(chain())
    both = edit.add(Add(), "a", "k", name="both")
    edit.replace("a", edit.add(Relu(), both, name="a2"))
    edit.replace("k", edit.add(Relu(), both, name="k2"))
    graph = edit.graph()
    assert "both=add(a, k)" in shape_of(graph)
    assert shape_of(graph)[-1] == "c=add(b, k2)"


def test_the_last_of_several_nodes_keeps_the_name() -> None:
    edit = Edit(chain())
    inner = edit.add(Relu(), "a", name="b")
    edit.replace("b", edit.add(Clip(), inner, name="b.outer"))
    assert shape_of(edit.graph()) == ["a=relu(x)", "b_1=relu(a)", "b=clip(b_1)", "c=add(b, k)"]


def test_a_node_in_place_of_two_keeps_the_name_of_the_first() -> None:
    edit = Edit(chain())
    both = edit.add(Clip(low=0.0, high=6.0), "x", name="both")
    for old in ("b", "a"):
        edit.replace(old, both)
    assert shape_of(edit.graph()) == ["a=clip(x)", "c=add(a, k)"]


def test_another_value_has_the_name_of_one_that_is_gone() -> None:
    edit = Edit(chain())
    folded = edit.add(Clip(low=0.0, high=3.0), "x", name="new")
    edit.bequeath("a", folded)
    edit.replace("b", folded)
    assert shape_of(edit.graph()) == ["a=clip(x)", "c=add(a, k)"]
    again = edit.add(Relu(), "a", name="relu")  # it reads what a was, not what has its name
    edit.replace("c", edit.add(Add(), folded, again, name="sum"))
    assert shape_of(edit.graph()) == ["a=relu(x)", "b=clip(x)", "relu=relu(a)", "c=add(b, relu)"]


def test_constants_keep_their_names_and_others_stay_beside_what_is_still_there() -> None:
    edit = Edit(chain())
    doubled = edit.constant(np.full((2, 3), 2, np.float32), "k")
    edit.replace("c", edit.add(Add(), "b", doubled, name="c"))
    graph = edit.graph()
    assert shape_of(graph)[-1] == "c=add(b, k)" and graph.constants["k"].array[0, 0] == 2
    edit = Edit(graph)
    edit.replace("c", edit.add(Mul(), "c", edit.constant(np.ones((2, 3), np.float32), "k")))
    assert shape_of(edit.graph())[-2:] == ["c=add(b, k)", "mul=mul(c, k_1)"]


def test_replacements_chain() -> None:
    edit = Edit(chain())
    early = edit.add(Mul(), "b", "b", name="early")  # added before b is replaced
    edit.replace("c", early)
    edit.replace("b", "a")
    edit.replace("a", "x")
    edit.replace("b", "x")  # says the same again
    assert shape_of(edit.graph()) == ["c=mul(x, x)"]


def test_added_nodes_read_what_stands_for_their_input() -> None:
    edit = Edit(chain())
    edit.replace("b", "a")
    edit.replace("c", edit.add(Relu(), "b", name="late"))
    assert shape_of(edit.graph()) == ["a=relu(x)", "c=relu(a)"]


def test_replacing_back_is_refused() -> None:
    edit = Edit(chain())
    edit.replace("b", "a")
    edit.replace("a", "x")
    with pytest.raises(VerificationError, match="cycle"):
        edit.replace("x", "b")
    edit.replace("x", "x")  # nothing to do
    with pytest.raises(VerificationError, match="was replaced by %x"):
        edit.replace("b", "k")


def test_a_cycle_through_nodes_is_refused() -> None:
    edit = Edit(chain())
    edit.replace("a", "b")  # b reads a
    with pytest.raises(VerificationError, match="depend on itself"):
        edit.graph()


def test_operands_that_are_made_later_are_pulled_forward() -> None:
    b = Builder()
    x = b.input("x", (2,))
    first = b.op(Relu(), x, name="first")
    second = b.op(Clip(), x, name="second")
    edit = Edit(b.graph(b.op(Sub(), first, second, name="y")))
    edit.replace("first", edit.add(Mul(), "second", "x", name="product"))
    assert shape_of(edit.graph()) == [
        "second=clip(x)",
        "first=mul(second, x)",
        "y=sub(first, second)",
    ]


def test_remove_refuses_what_is_read() -> None:
    edit = Edit(chain())
    edit.remove("b")
    with pytest.raises(VerificationError, match="reads %b"):
        edit.graph()
    edit.replace("b", "a")
    assert shape_of(edit.graph()) == ["a=relu(x)", "c=add(a, k)"]
    with pytest.raises(VerificationError, match="no node %b"):
        edit.remove("b")


def test_set_type_and_set_op() -> None:
    edit = Edit(chain())
    stored = TensorType((2, 3), DType.F32, (Int(width=4),))
    edit.set_type("b", stored)
    edit.set_op("b", Relu())
    graph = edit.graph()
    assert graph.types["b"] == stored
    assert graph.by_name["b"].kind == "relu"
    with pytest.raises(VerificationError, match="not defined"):
        edit.set_type("nothing", stored)


def test_types_of_added_results() -> None:
    edit = Edit(chain())
    stored = TensorType((2, 3), DType.F32, (Int(width=4),))
    edit.replace("b", edit.add(Relu(), "a", name="b", types=[stored]))
    weights = edit.constant(np.ones((2, 3), np.float32), "k", (Int(),))
    edit.replace("k", weights)
    graph = edit.graph()
    assert graph.types["b"] == stored
    assert graph.types["k"].integer == Int()


def test_an_output_keeps_its_shape() -> None:
    edit = Edit(chain())
    edit.replace("c", edit.constant(np.zeros((3, 2), np.float32)))
    with pytest.raises(VerificationError, match="output 'out'"):
        edit.graph()


def test_fresh_names_count_from_the_stem() -> None:
    edit = Edit(chain())
    names = [edit.add(Relu(), "x", name="b_1") for _ in range(3)]
    assert names == ["b_1", "b_2", "b_3"]
    assert edit.fresh("new_7") == "new_7"


def test_long_chains_of_replacements() -> None:
    b = Builder()
    values = [b.input("x", (1,))]
    for _ in range(3000):
        values.append(b.op(Relu(), values[-1]))
    edit = Edit(b.graph(values[-1]))
    for old, new in zip(values[1:], values, strict=False):
        edit.replace(old, new)
    assert edit.graph().outputs == ("x",)
    edit = Edit(b.graph(values[-1]))
    before = "x"
    for old in values[1:]:
        before = edit.add(Relu(), before)
        edit.replace(old, before)
    assert len(edit.graph().nodes) == 3000


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    b = Builder("random")
    values = [b.input("x", (3,)), b.input("y", (3,))]
    values.append(b.constant(np.array([1.0, -2.0, 3.0], np.float32), "k"))
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from([Relu(), Add(), Sub(), Mul()]))
        count = 1 if op.kind == "relu" else 2
        values.append(
            b.op(op, *draw(st.lists(st.sampled_from(values), min_size=count, max_size=count)))
        )
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
    return b.graph(*outputs)


@settings(deadline=None, max_examples=60)
@given(random_graphs(), st.data())
def test_random_edits_keep_the_meaning(graph: Graph, data: st.DataObject) -> None:
    """Each node is rebuilt, followed by an addition of zero, both, or left; the numbers stay."""
    edit = Edit(graph)
    zero = edit.constant(np.zeros(3, np.float32), "zero")
    for node in graph.nodes:
        choice = data.draw(st.sampled_from(["leave", "rebuild", "wrap", "both"]))
        if choice in ("rebuild", "both"):
            edit.replace(node.name, edit.add(node.op, *node.inputs, name=node.name))
        if choice in ("wrap", "both"):
            value = edit.current(node.name)
            edit.replace(value, edit.add(Add(), value, zero))
    changed = edit.graph()
    verify_graph(changed)
    inputs = {name: np.array([0.5, -1.5, 2.0], np.float32) * i for i, name in enumerate("xy", 1)}
    assert changed.inputs == graph.inputs
    assert changed.output_names == graph.output_names
    got, want = evaluate(changed, inputs), evaluate(graph, inputs)
    for name in graph.output_names:
        np.testing.assert_array_equal(got[name], want[name])
