"""Passes run in any order and may repeat; scheduling follows the last that changes the program."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import make_passes, prepare, run_passes
from codesign.interpret.evaluate import evaluate
from codesign.ir.program import Program
from codesign.passes.place.layout import Layout
from codesign.passes.place.place import Place
from codesign.passes.simplify.dead_code import DeadCode
from codesign.rewrite.context import Context
from codesign.rewrite.meaning import meaning
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.pipeline import run_pass
from codesign.rewrite.recipe import Recipe
from codesign.rewrite.unscheduled import without_layouts
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import kinds
from tests.small import small_graph, small_input

TARGET = Cpu("avx512")
SCHEDULING = ["place", "layout"]
CHANGING = [
    "quantize-int8{slower=true}",
    "prune-magnitude{sparsity=0.6}",
    "prune-magnitude{pattern=2:4}",
    "factorize-svd{keep=0.8,slower=true}",
    "fold-batch-norm",
    "dead-code",
]


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("dead-code", "dead-code,place,layout"),
        ("dead-code,place", "dead-code,place,layout"),
        ("dead-code,layout", "dead-code,layout"),
        ("place,dead-code", "place,dead-code,place,layout"),
        ("place,layout,dead-code", "place,layout,dead-code,place,layout"),
        ("layout,dead-code,place", "layout,dead-code,place,layout"),
        ("dead-code,layout,place", "dead-code,layout,place,layout"),
        ("dead-code,place,layout", "dead-code,place,layout"),
    ],
)
def test_scheduling_follows_the_last_change(given: str, completed: str) -> None:
    names = [step.name for step in make_passes(Recipe(), given)]
    assert names == completed.split(",")


def test_a_pass_of_ones_own_that_schedules_undoes_nothing() -> None:
    @dataclass(frozen=True)
    class Tile(Pass):
        name: ClassVar[str] = "tile"
        schedules: ClassVar[bool] = True

        def run(self, program: Program, context: Context) -> Program:
            assert program.placement
            return program

    steps = make_passes(Recipe(), [DeadCode(), Place(), Layout(), Tile()])
    assert [step.name for step in steps] == ["dead-code", "place", "layout", "tile"]
    program = run_pass(TARGET.place(Program(small_graph())), steps[-1], Context(target=TARGET))
    TARGET.verify(program)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([*SCHEDULING, *CHANGING]), min_size=1, max_size=5))
def test_any_order_ends_scheduled_and_scheduling_in_between_changes_no_value(
    steps: list[str],
) -> None:
    job = prepare(small_graph(), TARGET, steps, calibration={"x": small_input(4)})
    program = run_passes(job)
    TARGET.verify(program)
    data = {"x": small_input()}
    alone = run_passes(job.unscheduled())
    assert not alone.placement and meaning(alone.graph)[3] == meaning(program.graph)[3]
    want, got = evaluate(alone.graph, data), evaluate(program.graph, data)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


def test_a_pass_that_changes_a_scheduled_program_sees_it_plain_and_undoes_that() -> None:
    scheduled = TARGET.place(Program(small_graph()))
    assert "relayout" in kinds(scheduled.graph)
    for steps in ("place,quantize-int8{slower=true}", "place,layout,quantize-int8{slower=true}"):
        data = {"x": small_input(4)}
        job = prepare(small_graph(), TARGET, steps, calibration=data)
        kernels = [a.kernel for a in run_passes(job).placement]
        assert any("int8" in kernel for kernel in kernels)
        changed = run_passes(replace(job, passes=job.passes[:-2]))
        assert not changed.placement and "relayout" not in kinds(changed.graph)


def test_a_pass_that_changes_nothing_leaves_a_program_scheduled() -> None:
    context = Context(target=TARGET)
    program = Program(small_graph())
    for step in (Place(), Layout()):
        program = run_pass(program, step, context)
    assert run_pass(program, DeadCode(), context) is program
    plain = without_layouts(program)
    assert not plain.placement and without_layouts(plain) is plain
