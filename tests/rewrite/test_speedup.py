"""A pass that does not make the program faster is undone where a speed-up is required."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import codesign as cd
from codesign.compiler import SCHEDULE, SIMPLIFY
from codesign.errors import UsageError
from codesign.ir.const import Const
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.ledger import Ledger, row_from_json
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.pipeline import run_pipeline
from codesign.rewrite.speedup import verdict
from codesign.runtime.host import architecture
from codesign.targets.tvm.target import Cpu
from tests.small import small_graph

PREDICTED = Cpu("arm" if architecture() == "x86_64" else "avx2")  # which does not run here


@dataclass(frozen=True)
class Halve(Pass):
    """Halves every weight: nothing gets faster."""

    name: ClassVar[str] = "halve"

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        for node in graph.nodes:
            context.note(node.name, "half as large")
        half = {n: Const(c.array * np.float32(0.5)) for n, c in graph.constants.items()}
        return program.with_graph(replace(graph, constants=half))


def halved(least: float | None) -> tuple[bool, Ledger]:
    """Whether the pass was kept, and the ledger."""
    program, ledger = run_pipeline(
        Program(small_graph()),
        [Halve()],
        Context(PREDICTED),
        tidying=(*SIMPLIFY, *SCHEDULE),
        require_speedup=least,
    )
    return program.graph != small_graph(), ledger


def test_what_does_not_pay_is_undone_and_told() -> None:
    kept, ledger = halved(1.1)
    row = ledger.rows[-1]
    assert not kept and row.refused and row.speedup == 1.0
    assert "refused: predicted" in row.remark and "1.00x, 1.1x is required" in row.remark
    assert row_from_json(row.json()) == row


def test_of_a_pass_that_was_undone_nothing_is_noted_on_any_layer() -> None:
    names = [node.name for node in small_graph().nodes]
    _, undone = halved(1.1)
    assert not undone.rows[-1].notes and not any(undone.notes(name) for name in names)
    _, kept = halved(1.0)
    assert all(kept.notes(name) for name in names)


def test_what_pays_or_need_not_stays_and_how_much_it_pays_is_told() -> None:
    kept, ledger = halved(None)
    row = ledger.rows[-1]
    assert kept and (row.refused, row.speedup, row.remark) == (False, None, "")
    kept, ledger = halved(1.0)
    row = ledger.rows[-1]
    assert kept and (row.refused, row.speedup) == (False, 1.0)
    assert row.remark.startswith("kept: predicted") and "is 1.00x" in row.remark


def test_the_report_of_an_artifact_says_nothing_of_what_was_undone() -> None:
    undone, kept = (
        cd.compile(small_graph(), PREDICTED, [Halve()], measure="none", require_speedup=least)
        for least in (1.1, 1.0)
    )
    told = [[note for layer in made.report["layers"] for note in layer["notes"]]
            for made in (undone, kept)]  # fmt: skip
    assert not told[0] and {note["pass"] for note in told[1]} == {"halve"}
    rows = [row for row in undone.report["ledger"] if row["step"] == "halve"]
    assert [row["refused"] for row in rows] == [True]


def test_a_faster_program_passes_by_measurement_where_the_target_runs() -> None:
    wide, narrow = (Program(small_graph()) for _ in range(2))
    found, not_enough = (verdict(wide, narrow, Cpu(), least) for least in (1e-6, 1e6))
    assert found.pays and not not_enough.pays
    assert found.ratio is not None and found.text.startswith("measured")


def test_bad_requests() -> None:
    with pytest.raises(UsageError, match="no target"):
        verdict(Program(small_graph()), Program(small_graph()), None, 1.0)
    with pytest.raises(UsageError, match=r"speed-up required is 0, expected"):
        cd.compile(small_graph(), measure="none", require_speedup=0)
