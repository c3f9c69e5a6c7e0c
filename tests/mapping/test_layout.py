from itertools import product

import pytest
from hypothesis import given, settings

from codesign.errors import RefusedError
from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.join import Concat
from codesign.ir.ops.unary import Neg
from codesign.ir.program import Assignment, Program, verify_program
from codesign.mapping.group import Group
from codesign.rewrite.unscheduled import without_layouts
from tests.mapping.test_place import graphs
from tests.mapping.toy import ToyTarget
from tests.strategies import inputs_of

TARGET = ToyTarget()


def converted(program: Program) -> int:
    """Values that are converted between layouts."""
    return sum(node.kind == "relayout" for node in program.graph.nodes)


def uses(program: Program) -> dict[str, tuple[str, set[str]]]:
    """(maker, readers) of each value that goes from group to group, "" outside."""
    groups = [Group(program.graph, program.nodes_of(a)) for a in program.placement]
    maker = {v: g.name for g in groups for v in g.outputs}
    found: dict[str, tuple[str, set[str]]] = {}
    for value in program.graph.types:
        readers = {g.name for g in groups if value in g.variables}
        readers |= {""} if value in program.graph.outputs else set()
        found[value] = maker.get(value, ""), readers
    return found


def conversions(program: Program, side: dict[str, bool]) -> int:
    """Values that some group reads on another side than that on which they are made."""
    return sum(any(side[r] != side[maker] for r in rs) for maker, rs in uses(program).values())


def fewest(program: Program) -> int:
    """The fewest conversions, by trying every assignment of sides to agnostic groups."""
    fixed, free = {"": False}, []
    for assignment in program.placement:
        if assignment.kernel == "agnostic":
            free.append(assignment.nodes[0])
        else:
            fixed[assignment.nodes[0]] = assignment.kernel == "cheap"
    choices = product([False, True], repeat=len(free))
    return min(conversions(program, fixed | dict(zip(free, c, strict=True))) for c in choices)


@settings(max_examples=60)
@given(graphs(10))
def test_no_assignment_of_sides_converts_less(graph: Graph) -> None:
    placed = TARGET.choose_kernels(Program(graph))
    assert converted(TARGET.choose_layouts(placed)) == fewest(placed)


@given(graphs())
def test_layouts_are_verified_and_change_no_value(graph: Graph) -> None:
    program = TARGET.place(Program(graph))
    TARGET.verify(program)
    verify_program(program)
    data = inputs_of(graph)
    want, got = evaluate(graph, data), evaluate(program.graph, data)
    assert all((want[name] == got[name]).all() for name in want)
    plain = without_layouts(program)
    assert set(plain.graph.nodes) == set(graph.nodes) and plain.graph.types == graph.types
    assert plain.placement == ()


def test_each_value_is_converted_once_and_only_where_sides_meet() -> None:
    b = Builder()
    blocked = b.op(Relu(), b.input("x", (1, 8, 3)), name="r")
    readers = [b.op(Neg(), blocked, name=f"n{i}") for i in range(2)]
    both = b.op(Add(), blocked, b.op(Relu(), blocked, name="s"), name="a")
    program = TARGET.place(Program(b.graph(*readers, both)))
    made = [node.operands[0] for node in program.graph.walk("relayout")]
    assert sorted(made) == ["a", "r", "x"]
    assert program.graph.types["a"].layout == Tiled(1, 4)


def test_values_of_another_rank_stay_plain() -> None:
    b = Builder()
    x, v = b.input("x", (1, 8, 3)), b.input("v", (3,))
    y = b.op(Add(), b.op(Relu(), x, name="r"), v, name="y")
    b.op(Neg(), y)
    program = TARGET.place(Program(b.graph(b.op(Relu(), b.op(Add(), y, y, name="z"), name="s"))))
    assert program.graph.types["v"].layout is None
    TARGET.verify(program)


@pytest.mark.parametrize("op", [Concat(1), Add()])
def test_only_what_is_broadcast_along_the_blocked_axis_stays_plain(op: Op) -> None:
    b = Builder()
    two, one = (b.input(f"x{c}", (1, c, 3)) for c in (2, 1))
    graph = b.graph(b.op(op, two, one))
    group = Group(graph, graph.nodes)
    assert TARGET.tied(group, two) and all(TARGET.tied(group, v) for v in group.outputs)
    assert TARGET.tied(group, one) == (op.kind == "concat")


def test_a_wrong_layout_is_named() -> None:
    b = Builder()
    program = TARGET.place(Program(b.graph(b.op(Relu(), b.input("x", (1, 8, 3)), name="r"))))
    plain = program.graph.types["r"].without("layout")
    broken = Program(program.graph.with_types({"r": plain}), program.target, program.placement)
    with pytest.raises(RefusedError, match="cheap %r needs %r in layout tiled<1, 4>, it has None"):
        TARGET.verify(broken)
    TARGET.verify(broken, layouts=False)


@pytest.mark.parametrize("other", [Tiled(1, 2), None])
def test_mixed_layouts_of_an_agnostic_kernel_are_refused(other: Tiled | None) -> None:
    b = Builder()
    y = b.op(Add(), b.input("p", (1, 8, 3)), b.input("q", (1, 8, 3)), name="y")
    for value, layout in (("p", Tiled(1, 4)), (y, Tiled(1, 4)), ("q", other)):
        if layout is not None:
            b.types[value] = b.types[value].with_encoding(layout)
    program = Program(b.graph(y), "toy", (Assignment("agnostic", (y,)),))
    with pytest.raises(RefusedError, match="agnostic %y mixes layouts: %p tiled<1, 4>, %q"):
        TARGET.verify(program)
