"""Bare candidates: the group alone, with the layouts that its kernel wants, ready to be timed."""

from pathlib import Path

import numpy as np

from codesign.interpret.evaluate import evaluate
from codesign.ir.program import Assignment
from codesign.runtime.execute import Executable
from codesign.runtime.library import load_library
from codesign.targets.tvm.target import Cpu
from codesign.tune.bare import bare, unchecked
from codesign.tune.local import Local
from codesign.tune.shelf import Shelf
from codesign.tune.timing import Limits, Subject
from codesign.tune.work import placed
from tests.tune.small_task import TARGET, sent, task


def test_layouts_around_the_group_go_and_its_own_stay() -> None:
    kernel, point = task().start
    whole = placed(task().graph, task().nodes, TARGET, Assignment(kernel, task().nodes, point))
    alone = bare(whole, task().nodes)
    assert [node.name for node in alone.graph.nodes] == list(task().nodes)
    assert len(whole.graph.nodes) > len(alone.graph.nodes)
    for value in (*alone.graph.inputs, *alone.graph.outputs):
        assert alone.graph.types[value] == whole.graph.types[value]
        assert any(e.role == "layout" for e in alone.graph.types[value].encodings)
    steps = TARGET.build(alone).plan.steps
    assert {step.layer for step in steps} == {task().nodes[0]} and len(steps) == 1


def test_a_bare_candidate_computes_what_the_task_does(tmp_path: Path) -> None:
    """On a kernel in the plain layout, where inputs and results can be compared as they are."""
    choice = Assignment("conv-generic", task().nodes, (("channels", 4),))
    built = TARGET.build(bare(placed(task().graph, task().nodes, TARGET, choice), task().nodes))
    library = load_library(built.code.save(tmp_path).path)
    (have,) = Executable(built.plan, library, built.weights)(sent().inputs).values()
    (want,) = evaluate(task().graph, sent().inputs).values()
    np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4)


def test_inputs_are_filled_with_finite_values_and_no_index_is_out_of_bounds() -> None:
    kernel, point = task().start
    whole = placed(task().graph, task().nodes, TARGET, Assignment(kernel, task().nodes, point))
    built = TARGET.build(bare(whole, task().nodes))
    with Local().load(built, unchecked(task())) as candidate:
        filled = candidate.first._inputs
        assert filled and all(np.isfinite(view).all() and view.std() > 0.5 for view in filled)
        assert candidate.time() > 0


def test_a_shelf_times_what_it_prepared_and_frees_it() -> None:
    target = Cpu()
    parcel = unchecked(task())
    subject = Subject(parcel, parcel.graph(), target, Local())
    kernel, group = target.by_name[task().start[0]], task().group
    shelf = Shelf()
    assert shelf.prepare(subject, kernel.name, kernel.default(group)).status == "ok"
    outcome = shelf.time(parcel.work, kernel.name, Limits(0.001, 2, 4))
    assert outcome.status == "ok" and 2 <= len(outcome.seconds) <= 4 and min(outcome.seconds) > 0
    refused = shelf.prepare(subject, "no-such-kernel", ())
    assert refused.status == "failed" and "no-such-kernel" in refused.message
    assert shelf.drop().status == "ok" and not shelf._held
