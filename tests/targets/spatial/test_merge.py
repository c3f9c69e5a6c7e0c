"""Groups that run as one: the same sums, fewer cycles, counts as the cost model has them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign import plugins
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import busy
from codesign.cost.traffic import moves
from codesign.errors import RefusedError
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Encode
from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.targets.spatial.kernel import Mapped
from codesign.targets.spatial.merge import densified
from codesign.targets.spatial.point import from_point, groups_of


def network(groups: int, channels: int, filters: int, width: int = 8) -> Graph:
    """An encoded input, a grouped 3x3 convolution of it, and one of what that gives."""
    random, b = np.random.default_rng(groups), Builder("grouped")
    x = b.input("x", (1, groups * channels, 6, 5))
    form = Int(width, Const(np.float32(0.05)), Const(np.int32(3)), signed=False)
    codes = b.op(Encode(), x)
    b.types[codes] = b.types[x].with_encoding(form)
    for name in ("first", "second"):
        scale = Const(np.float32(0.02))
        array = random.integers(-7, 8, (groups * filters, channels, 3, 3)).astype(np.float32)
        kind = Int(width, scale)
        weight = b.constant(array * np.float32(0.02), f"{name}.w", (kind,))
        made = b.op(Conv((1, 1), ((1, 1), (1, 1)), (1, 1), groups), codes, weight, name=name)
        b.types[made] = b.types[made].with_encoding(form)
        codes = made
        channels = filters
    return b.graph(codes)


def placed(graph: Graph, spec: str = "bitfusion") -> tuple[Any, Program]:
    target = plugins.make("target", spec)
    return target, target.place(Program(graph))


@pytest.mark.parametrize(("shape", "count"), [((16, 1, 1), 16), ((10, 2, 2), 5), ((3, 16, 16), 1)])
def test_the_interpreter_s_sums_by_fewer_cycles(shape: tuple[int, int, int], count: int) -> None:
    graph = network(*shape)
    target, program = placed(graph)
    x = np.random.default_rng(0).normal(2, 2, graph.types["x"].shape).astype(np.float32)
    simulator = target.simulator(program)
    found, counts = simulator({"x": x})
    for name, want in evaluate_integer(graph, {"x": x}).items():
        assert np.array_equal(found[name], want)
    assert counts["saturated"] == 0
    for assignment in program.placement:
        if assignment.kernel != Mapped.name:
            continue
        group, kernel = Group(graph, program.nodes_of(assignment)), target.by_name[Mapped.name]
        assert groups_of(assignment.point) == count
        layer = kernel._layer(group, assignment.point)
        laid = Candidates.of(layer.problem, target.machine, from_point(assignment.point))
        run = simulator.runs[group.name]
        assert run.busy == busy(laid)[0]
        for moved, have in zip(moves(laid), run.moves, strict=True):
            assert (have.down, have.up) == (moved.down[0], moved.up[0])


def test_idle_columns_cost_less_and_not_where_it_is_not_allowed() -> None:
    target, program = placed(network(32, 1, 1))
    merged = target.estimate(program)
    text = target.text.replace("merge = true\n", "")
    assert text != target.text
    kernel = Mapped(replace(target.kernels[0].given, text=text), {})
    group = Group(program.graph, program.nodes_of(program.placement[-1]))
    point = kernel.default(group)
    assert groups_of(point) == 1
    alone = kernel.cost(group, point)
    mine = next(layer for layer in merged.layers if layer.name == group.name)
    assert alone.cycles > 5 * mine.cycles
    assert alone.macs == mine.macs
    assert alone.utilization < mine.utilization < 1


def test_dense_weights_have_zeros_between_groups() -> None:
    op, random = Conv(groups=6), np.random.default_rng(0)
    weight = random.integers(1, 9, (12, 2, 3, 3))
    dense = densified(weight, op, 3)
    assert dense.shape == (12, 6, 3, 3)
    for row in range(12):
        own = row // 2 % 3
        assert np.array_equal(dense[row, 2 * own : 2 * own + 2], weight[row])
        assert np.count_nonzero(dense[row]) == weight[row].size


def test_a_point_of_groups_that_there_are_not_is_refused() -> None:
    target, program = placed(network(16, 1, 1))
    group = Group(program.graph, program.nodes_of(program.placement[-1]))
    point = tuple(pair for pair in program.placement[-1].point if pair[0] != "groups")
    for groups in (5, "many", 0):
        with pytest.raises(RefusedError, match="groups"):
            target.by_name[Mapped.name].cost(group, (*point, ("groups", groups)))
