"""Tasks: equal work is one task, and a task alone computes what its layer does."""

from dataclasses import replace

import numpy as np

from codesign.interpret.evaluate import evaluate
from codesign.mapping.group import Group
from codesign.mapping.workload import extracted, signature
from codesign.tune.work import tasks_of
from tests.tune.small_task import TARGET, network, sent, task


def test_equal_layers_are_one_task_that_knows_them_all() -> None:
    (found,) = (t for t in tasks_of(network(3)) if t.op == "conv")
    assert len(found.layers) == 3
    assert found.work == task().work
    assert found.operations == 2 * 16 * 16 * 9 * 36


def test_other_sizes_are_other_tasks() -> None:
    assert {t.work for t in tasks_of(network(1, 8))}.isdisjoint({task().work})


def test_signatures_name_neither_values_nor_weights() -> None:
    program = network(2)
    texts = {
        signature(Group(program.graph, program.nodes_of(a)))
        for a in program.placement
        if a.kernel.startswith("conv")
    }
    (text,) = texts
    assert text.startswith("k0: 16x16x3x3 f32; x0: 1x16x6x6 f32; y0")
    assert "layer" not in text and "pads=((1, 1), (1, 1))" in text and "relu(y0)" in text


def test_a_task_alone_means_what_its_group_means() -> None:
    program = network(2)
    last = program.placement[-2 if program.placement[-1].kernel == "relayout" else -1]
    group = Group(program.graph, program.nodes_of(last))
    alone = extracted(group)
    x = np.random.default_rng(1).standard_normal((1, 16, 6, 6)).astype(np.float32)
    (name,) = alone.inputs
    weight = alone.constants[group.operands[1]].array
    whole = network(1)
    given = next(iter(whole.graph.constants))
    same = {v: (alone.constants[group.operands[1]] if v == given else c)
            for v, c in whole.graph.constants.items()}  # fmt: skip
    want = evaluate(replace(whole.graph, constants=same), {"x": x})
    (found,) = evaluate(alone, {name: x}).values()
    assert weight.shape == (16, 16, 3, 3)
    np.testing.assert_array_equal(found, next(iter(want.values())))


def test_a_parcel_rebuilds_the_graph() -> None:
    parcel = sent()
    graph = parcel.graph()
    (have,) = evaluate(graph, parcel.inputs).values()
    (want,) = parcel.expected.values()
    np.testing.assert_array_equal(have, want)


def test_candidates_begin_with_each_kernels_default_and_never_repeat() -> None:
    found = list(task().candidates(TARGET))
    assert len(found) == len(set(found)) > 1
    assert task().start in found
