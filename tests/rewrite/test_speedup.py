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
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.pipeline import run_pipeline
from codesign.rewrite.speedup import shortfall
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
        half = {n: Const(c.array * np.float32(0.5)) for n, c in graph.constants.items()}
        return program.with_graph(replace(graph, constants=half))


def halved(least: float | None) -> tuple[bool, str]:
    """Whether the pass was kept, and the remark of its row."""
    program, ledger = run_pipeline(
        Program(small_graph()),
        [Halve()],
        Context(PREDICTED),
        tidying=(*SIMPLIFY, *SCHEDULE),
        require_speedup=least,
    )
    return program.graph != small_graph(), ledger.rows[-1].remark


def test_what_does_not_pay_is_undone_and_told() -> None:
    kept, remark = halved(1.1)
    assert not kept
    assert "refused: predicted" in remark and "1.00x, 1.1x is required" in remark


def test_what_pays_or_need_not_stays() -> None:
    assert halved(None) == (True, "")
    assert halved(1.0) == (True, "")


def test_a_faster_program_passes_by_measurement_where_the_target_runs() -> None:
    wide, narrow = (Program(small_graph()) for _ in range(2))
    assert shortfall(wide, narrow, Cpu(), 1e-6) == ""
    assert "measured" in shortfall(wide, narrow, Cpu(), 1e6)


def test_bad_requests() -> None:
    with pytest.raises(UsageError, match="no target"):
        shortfall(Program(small_graph()), Program(small_graph()), None, 1.0)
    with pytest.raises(UsageError, match=r"speed-up required is 0, expected"):
        cd.compile(small_graph(), measure="none", require_speedup=0)
