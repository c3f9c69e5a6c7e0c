"""Blocks as one kernel: equal to what their layers mean, and taken only where that is cheaper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.mapping.place import apart
from codesign.mapping.records import Known
from codesign.mapping.workload import signature
from codesign.profiling.samples import samples
from codesign.report import alternatives
from codesign.targets.tvm.target import Cpu
from codesign.tune.work import tasks_of
from tests.targets.tvm.blocks import Case, cases, conv, fused, quantized, whole
from tests.targets.tvm.harness import Net, compare, run
from tests.targets.tvm.int8_oracle import runnable

SAME = ((1, 1), (1, 1))
EARLY = Case(1, 16, (112, 112), 96, (3, 3), (2, 2), SAME, 24)
NAMES = {"conv-separable", "conv-inverted", "separable-int8", "inverted-int8"}
ISAS = [
    name
    for name in ("avx512-amx", "avx512-vnni", "avx2", "x86", "arm-dot", "arm")
    if name in runnable()
]


@settings(deadline=None, max_examples=10)
@given(cases(), st.integers(1, 2), st.integers(0, 99))
def test_float_blocks(case: Case, threads: int, seed: int) -> None:
    net, y = case.net(seed)
    graph, target = net.graph(y), Cpu(threads=threads)
    choice = whole(graph, target)
    points = [choice[2], *choice[0].space(choice[1])]
    program = fused(graph, target, choice, points[seed % len(points)])
    compare(y, run(program, target, net.data)[y], evaluate(graph, net.data)[y], 1e-5)


@settings(deadline=None, max_examples=10)
@given(cases(), st.sampled_from(ISAS), st.integers(1, 2), st.integers(0, 99))
def test_blocks_of_codes_are_exact(case: Case, isa: str, threads: int, seed: int) -> None:
    net, y = case.net(seed, last=True)
    graph, target = quantized(net, y), Cpu(isa, threads)
    choice = whole(graph, target)
    points = [choice[2], *choice[0].space(choice[1])]
    program = fused(graph, target, choice, points[seed % len(points)])
    want = evaluate_integer(program.graph, net.data)
    for name, got in run(program, target, net.data).items():
        np.testing.assert_array_equal(got, next(iter(want.values())), err_msg=name)


@pytest.mark.parametrize("codes", [False, True])
def test_what_is_padded_is_the_expanded_map(codes: bool) -> None:
    net = Net()
    x = net.normal(1, 8, 5, 5)
    ones = net.constant(np.ones(16, np.float32))
    y = net.op(Relu(), net.op(Conv(), x, net.constant(np.zeros((16, 8, 1, 1), np.float32)), ones))
    taps = net.constant(np.ones((16, 1, 3, 3), np.float32))
    y = net.op(Conv(pads=SAME, groups=16), y, taps)
    y = net.op(Conv(), y, net.constant(np.eye(16, dtype=np.float32).reshape(16, 16, 1, 1)))
    graph = quantized(net, y) if codes else net.graph(y)
    choice = whole(graph, Cpu())
    assert choice[0].name == ("inverted-int8" if codes else "conv-inverted")
    (got,) = run(fused(graph, Cpu(), choice, choice[2]), Cpu(), net.data).values()
    edge = np.array([2, 3, 3, 3, 2])
    np.testing.assert_allclose(got[0, 3], np.outer(edge, edge), rtol=2e-2 if codes else 1e-6)


@pytest.mark.parametrize("codes", [False, True])
@pytest.mark.parametrize("wide", [None, 24])
@pytest.mark.parametrize("n", [1, 2])
def test_one_channel_that_is_added_again_is_read_as_data(
    n: int, wide: int | None, codes: bool
) -> None:
    case = Case(n, 1, (5, 8), wide, (3, 3), (1, 1), SAME, 1)
    net, y = case.net(last=codes)
    graph = quantized(net, y) if codes else net.graph(y)
    choice = whole(graph, Cpu())
    program = fused(graph, Cpu(), choice, choice[2])
    for name, got in run(program, Cpu(), net.data).items():
        if codes:
            (want,) = evaluate_integer(program.graph, net.data).values()
            np.testing.assert_array_equal(got, want)
        else:
            compare(name, got, evaluate(graph, net.data)[y], 1e-5)


def test_one_channel_that_is_added_to_several_is_read_as_data() -> None:
    net = Net()
    x = net.normal(2, 1, 6, 7)
    y = net.op(Relu(), conv(net, Conv(), x, 24))
    y = net.op(Relu(), conv(net, Conv(pads=SAME, groups=24), y, 24, (3, 3)))
    y = net.op(Add(), conv(net, Conv(), y, 20), x)
    choice = whole(net.graph(y), Cpu())
    assert choice[0].name == "conv-inverted" and choice[1].outputs == (y,)
    program = fused(net.graph(y), Cpu(), choice, choice[2])
    (got,) = run(program, Cpu(), net.data).values()
    compare(y, got, evaluate(net.graph(y), net.data)[y], 1e-5)


def test_a_large_early_block_is_taken_together_and_a_late_one_is_not() -> None:
    for case, kernels in (
        (EARLY, {"conv-inverted"}),
        (Case(1, 96, (14, 14), 576, (3, 3), (1, 1), SAME, 96), set()),
    ):
        net, y = case.net()
        placed = Cpu().choose_kernels(Program(net.graph(y)))
        assert {a.kernel for a in placed.placement} & NAMES == kernels


def test_the_choice_is_that_of_the_lower_cost() -> None:
    net, y = EARLY.net()
    graph, target = net.graph(y), Cpu()
    kernel, group, _ = whole(graph, target)
    pieces = apart(group, target)
    assert pieces is not None
    assert [len(g.nodes) for _, g, _ in pieces] in ([2, 2, 1], [2, 3])
    layer = target.estimate(target.choose_kernels(Program(graph))).layers[0]
    names = " + ".join(k.name for k, _, _ in pieces)
    total = sum(target.cost(*piece).latency_ms for piece in pieces)
    assert dict(layer.alternatives) == {names: pytest.approx(total)} and layer.latency_ms < total
    assert alternatives(group, target, kernel.name)[names]["latency_ms"] == pytest.approx(total)
    assert layer.macs == group.macs == sum(g.macs for _, g, _ in pieces)


def test_the_best_on_record_is_the_schedule() -> None:
    net, y = EARLY.net()
    graph, target = net.graph(y), Cpu()
    kernel, group, point = whole(graph, target)
    other = next(p for p in kernel.space(group) if p != point)

    class Found:
        def best(self, work: str) -> Known | None:
            return Known(kernel.name, other, 0.001) if work == signature(group) else None

    placed = target.informed(Found()).choose_kernels(Program(graph))
    assert [(a.kernel, a.point) for a in placed.placement] == [("conv-inverted", other)]
    (task,) = tasks_of(placed)
    assert {name for name, _ in task.candidates(target)} == {"conv-inverted"}


def test_values_that_something_else_reads_stay_apart() -> None:
    net = Net()
    x = net.normal(1, 16, 112, 112)
    y = conv(net, Conv(), x, 96)
    z = conv(net, Conv((2, 2), SAME, groups=96), y, 96, (3, 3))
    out = conv(net, Conv(), z, 24)
    for outputs in ((out, y), (out, z)):
        graph = net.graph(*outputs)
        kernel = Cpu().by_name["conv-inverted"]
        refusal = kernel.refuse(kernel.reach(Group(graph, graph.nodes[:1])))
        assert refusal is not None and "alone reads" in refusal.demand
        used = {a.kernel for a in Cpu().choose_kernels(Program(graph)).placement}
        assert "conv-inverted" not in used
        refusal = kernel.refuse(Group(graph, graph.nodes))
        assert refusal is not None and "is read otherwise" in refusal.bound


@pytest.mark.parametrize(
    "op",
    [Conv(pads=((2, 2), (2, 2)), dilations=(2, 2), groups=16), Conv(pads=SAME), Conv((2, 2), SAME)],
)
def test_other_convolutions_are_refused(op: Conv) -> None:
    net = Net()
    y = conv(net, op, net.normal(1, 16, 9, 9), 16, (3, 3))
    graph = net.graph(conv(net, Conv(), y, 8))
    for name in ("conv-separable", "conv-inverted"):
        kernel = Cpu().by_name[name]
        refusal = kernel.refuse(kernel.reach(Group(graph, graph.nodes[:1])))
        assert refusal is not None and refusal.demand.startswith("this takes")


@pytest.mark.parametrize("codes", [False, True])
def test_profiles_sample_layers_together_and_apart(codes: bool) -> None:
    net, y = Case(1, 8, (9, 9), 24, (3, 3), (1, 1), SAME, 8).net(last=codes)
    graph = quantized(net, y) if codes else net.graph(y)
    found = {sample.kernel for sample in samples(Program(graph), Cpu())}
    form = "-int8" if codes else "conv-"
    assert {name for name in NAMES if form in name} <= found
    assert (
        {"depthwise-int8", "conv-int8"} if codes else {"conv-depthwise", "conv-pointwise"} <= found
    )
