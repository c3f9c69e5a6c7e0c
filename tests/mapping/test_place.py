import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import RefusedError, UnsupportedModelError
from codesign.ir.builder import Builder
from codesign.ir.encodings import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, Relu, Sigmoid
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.unary import Neg
from codesign.ir.program import Assignment, Program, verify_program
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from tests.mapping.toy import MOST, ToyTarget

TARGET = ToyTarget()


@st.composite
def graphs(draw: st.DrawFn, most: int = 8) -> Graph:
    """relu, neg, clip and add over one input of [1, 8, 3] and earlier values."""
    b = Builder()
    values = [b.input("x", (1, 8, 3))]
    for _ in range(draw(st.integers(1, most))):
        pick = st.sampled_from(values[-3:])
        op = draw(st.sampled_from([Relu(), Neg(), Clip(0.0, 6.0), Add()]))
        inputs = [draw(pick) for _ in range(2 if isinstance(op, Add) else 1)]
        values.append(b.op(op, *inputs))
    outputs = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=2, unique=True))
    return b.graph(*dict.fromkeys([*outputs, values[-1]]))


@given(graphs())
def test_every_node_is_covered_once_and_runs_after_what_it_reads(graph: Graph) -> None:
    program = TARGET.choose_kernels(Program(graph))
    verify_program(program)
    covered = [name for a in program.placement for name in a.nodes]
    assert sorted(covered) == sorted(node.name for node in graph.nodes)
    made = set(graph.inputs)
    for assignment in program.placement:
        group = Group(graph, program.nodes_of(assignment))
        assert set(group.variables) <= made
        made |= set(group.outputs)
    assert set(graph.outputs) <= made


@given(graphs())
def test_groups_are_chains_that_nothing_else_reads(graph: Graph) -> None:
    for assignment in TARGET.choose_kernels(Program(graph)).placement:
        assert len(assignment.nodes) <= MOST
        for first, second in zip(assignment.nodes, assignment.nodes[1:], strict=False):
            assert graph.only_use(first) is graph.by_name[second]


def test_the_cheapest_kernel_is_taken_and_what_follows_is_fused() -> None:
    b = Builder()
    y = b.op(Clip(), b.op(Relu(), b.input("x", (1, 8, 3)), name="r"), name="c")
    program = TARGET.choose_kernels(Program(b.graph(b.op(Neg(), y, name="n"))))
    assert program.placement == (Assignment("cheap", ("r", "c", "n"), (("price", 1.0),)),)


def test_alternatives_are_the_other_kernels_that_accept() -> None:
    b = Builder()
    x = b.op(Relu(), b.input("x", (1, 8, 3)), name="r")
    graph = b.graph(x, b.op(Neg(), x, name="n"))
    relu, neg = TARGET.estimate(TARGET.choose_kernels(Program(graph))).layers
    assert (relu.kernel, dict(relu.alternatives)) == ("cheap", {"dear": 2.0})
    assert (neg.kernel, dict(neg.alternatives)) == ("dear", {})


def test_an_op_without_kernel_is_named() -> None:
    b = Builder()
    graph = b.graph(b.op(Sigmoid(), b.input("x", (1, 8, 3)), name="odd"))
    with pytest.raises(UnsupportedModelError, match=r"sigmoid %odd: no kernel starts with sigmoid"):
        TARGET.choose_kernels(Program(graph))


def test_all_refusals_are_given() -> None:
    b = Builder()
    x = b.input("x", (1, 8, 3))
    b.types[x] = b.types[x].with_encoding(Int(8))
    graph = b.graph(b.op(Relu(), x, name="r"))
    with pytest.raises(UnsupportedModelError) as caught:
        TARGET.choose_kernels(Program(graph))
    assert "dear: numbers, but they are codes; decode them" in str(caught.value)
    assert "cheap: " in str(caught.value)


def test_a_changed_type_names_the_kernel_that_no_longer_accepts() -> None:
    b = Builder()
    y = b.op(Relu(), b.op(Neg(), b.input("x", (1, 8, 3)), name="n"), name="r")
    b.op(Clip(), y)
    graph = b.graph(y)
    program = TARGET.place(Program(graph))
    TARGET.verify(program)
    coded = program.graph.types["x"].with_encoding(Int(8))
    changed = Program(program.graph.with_types({"x": coded}), program.target, program.placement)
    with pytest.raises(RefusedError, match=r"dear no longer takes %n: numbers, but they are codes"):
        TARGET.verify(changed)


def test_kernels_of_another_target_are_refused() -> None:
    b = Builder()
    graph = b.graph(b.op(Relu(), b.input("x", (1, 8, 3)), name="r"))
    program = Program(graph, "toy", (Assignment("stranger", ("r",)),))
    with pytest.raises(RefusedError, match="no kernel stranger"):
        TARGET.verify(program)


def test_a_refusal_reads_as_a_sentence() -> None:
    assert str(Refusal("a", "b")) == "a, but b" and str(Refusal("a", "b", "c")) == "a, but b; c"


def test_a_group_knows_what_it_reads_and_makes() -> None:
    b = Builder()
    x, z = b.input("x", (1, 8, 3)), b.input("z", (1, 8, 3))
    c = b.constant(np.ones((1, 8, 3), np.float32), "c")
    y = b.op(Add(), b.op(Add(), x, c, name="p"), z, name="q")
    graph = b.graph(y)
    group = Group(graph, graph.nodes)
    assert (group.operands, group.variables, group.outputs) == ((x, c, z), (x, z), ("q",))
    assert (group.name, group.names, group.chain) == ("p", ("p", "q"), graph.nodes[1:])
    assert group.constant(1) is not None and group.constant(0) is None and group.input(5) is None
