"""The pipeline verifies after each pass and writes the ledger."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from codesign.analysis.counts import stored_bytes
from codesign.analysis.entropy import entropy_bytes
from codesign.errors import PassError, RefusedError, VerificationError
from codesign.ir.const import Const
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.place.layout import Layout
from codesign.passes.place.place import Place
from codesign.passes.simplify.dead_code import DeadCode
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.ledger import ledger_from_json
from codesign.rewrite.meaning import meaning
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.pipeline import run_pipeline
from codesign.targets.tvm.target import Cpu
from tests.small import small_graph, small_input

MACS = 8 * 8 * 9 * 16 * (3 + 16)


@dataclass(frozen=True)
class Scale(Pass):
    """Multiply the first weights by `factor`."""

    name: ClassVar[str] = "scale"
    factor: float = 1.01

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        w = Const(graph.constants["w1"].array * np.float32(self.factor))
        context.note("first", f"scaled by {self.factor}")
        return program.with_graph(replace(graph, constants={**graph.constants, "w1": w}))


@dataclass(frozen=True)
class Narrow(Pass):
    """Say that the first weights take four bits."""

    name: ClassVar[str] = "narrow"

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        codes = Int(4, Const(np.float32(0.1)))
        kind = graph.types["w1"].with_encoding(codes)
        w = Const(np.clip(np.rint(graph.constants["w1"].array / 0.1), -8, 7) * np.float32(0.1))
        made = replace(graph.with_types({"w1": kind}), constants={**graph.constants, "w1": w})
        return program.with_graph(made)


@dataclass(frozen=True)
class Break(Pass):
    """Return a graph whose output nothing defines."""

    name: ClassVar[str] = "break"

    def run(self, program: Program, context: Context) -> Program:
        return program.with_graph(replace(program.graph, outputs=("nothing",)))


@dataclass(frozen=True)
class Boom(Pass):
    """Divide by zero, or return no program."""

    name: ClassVar[str] = "boom"
    zero: bool = True

    def run(self, program: Program, context: Context) -> Program:
        return 1 // 0 if self.zero else None  # type: ignore[return-value]


def test_a_fault_of_a_pass_names_the_pass() -> None:
    with pytest.raises(PassError, match="pass 'boom' failed: ZeroDivisionError") as caught:
        run_pipeline(Program(small_graph()), [Boom()], Context())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(PassError, match="pass 'boom' returned NoneType, expected a Program"):
        run_pipeline(Program(small_graph()), [Boom(zero=False)], Context())


def test_a_pass_that_changed_nothing_says_so_unless_it_tidies() -> None:
    steps = [DeadCode(), Scale(1.0), Scale(2.0)]
    _, ledger = run_pipeline(Program(small_graph()), steps, Context(), tidying=["dead-code"])
    assert [row.remark for row in ledger.rows] == ["", "", "changed nothing", ""]


@dataclass(frozen=True)
class Misplace(Pass):
    """Put a convolution on a kernel that does not take it."""

    name: ClassVar[str] = "misplace"
    schedules: ClassVar[bool] = True

    def run(self, program: Program, context: Context) -> Program:
        first, *rest = program.placement
        return replace(program, placement=(replace(first, kernel="conv-depthwise"), *rest))


def test_rows_count_parameters_bytes_and_operations() -> None:
    program, ledger = run_pipeline(Program(small_graph()), [Narrow()], Context())
    before, after = ledger.rows
    w1, w2, b1 = 16 * 27, 16 * 144, 16
    assert before.parameters == after.parameters == w1 + w2 + b1
    assert before.stored_bytes == 4 * (w1 + w2 + b1)
    assert after.stored_bytes == stored_bytes(program.graph) == 4 * (w2 + b1) + w1 // 2 + 5
    assert before.macs == after.macs == MACS
    first, second = 64 * 9 * 3 * 16, 64 * 9 * 16 * 16
    assert before.bit_operations == 32 * 32 * MACS
    assert after.bit_operations == 32 * 4 * first + 32 * 32 * second
    assert after.entropy_bytes == entropy_bytes(program.graph)
    assert after.entropy_bytes is not None and after.entropy_bytes < after.stored_bytes
    assert before.estimated_ms is None and before.snr_db is None and before.accuracy is None


def test_signal_to_noise_is_that_of_the_outputs() -> None:
    from codesign.interpret.evaluate import evaluate

    data = Dataset({"x": small_input(3)})
    program, ledger = run_pipeline(
        Program(small_graph()), [DeadCode(), Scale(1.1)], Context(calibration=data)
    )
    same, scaled = ledger.rows[1].snr_db, ledger.rows[2].snr_db
    assert same == 200.0

    def outputs(graph: Graph) -> np.ndarray:
        rows = [evaluate(graph, {"x": small_input(3)[i : i + 1]})["out"] for i in range(3)]
        return np.concatenate(rows).astype(np.float64)

    want, got = outputs(small_graph()), outputs(program.graph)
    expected = 10 * np.log10((want**2).sum() / ((got - want) ** 2).sum())
    assert scaled == pytest.approx(expected, abs=0.01)
    assert ledger.notes("first") == [("scale{factor=1.1}", ledger.rows[2].notes[0])]


def test_labels_give_accuracies_on_validation_data() -> None:
    from codesign.interpret.evaluate import evaluate

    x = small_input(5)
    right = [evaluate(small_graph(), {"x": x[i : i + 1]})["out"].argmax() for i in range(5)]
    labels = np.array(right)
    labels[0] += 1
    context = Context(
        calibration=Dataset({"x": x}), validation=Dataset({"x": x}, labels), target=None
    )
    _, ledger = run_pipeline(Program(small_graph()), [], context)
    assert ledger.rows[0].accuracy == pytest.approx(0.8)
    assert ledger.rows[0].snr_db is None


def test_estimates_come_from_the_program_as_it_would_run() -> None:
    target = Cpu()
    _, ledger = run_pipeline(
        Program(small_graph()), [DeadCode(), Place(), Layout()], Context(target)
    )
    want = target.estimate(target.place(Program(small_graph()))).latency_ms
    assert [row.estimated_ms for row in ledger.rows] == [pytest.approx(want)] * 4
    assert [row.measured_ms for row in ledger.rows] == [None] * 4


def test_first_last_and_newly_scheduled_rows_are_timed() -> None:
    passes = [DeadCode(), Place(), Layout(), DeadCode()]
    _, ledger = run_pipeline(Program(small_graph()), passes, Context(Cpu()), measure="ends")
    timed = [row.measured_ms is not None for row in ledger.rows]
    assert timed == [True, False, True, True, True]
    assert all(row.measured_ms is None or row.measured_ms > 0 for row in ledger.rows)


def test_a_model_that_cannot_be_placed_yet_has_a_remark_instead_of_a_cost() -> None:
    class Picky(Cpu):
        def place(self, program: Program) -> Program:
            raise RefusedError("not today")

    _, ledger = run_pipeline(Program(small_graph()), [], Context(Picky()), measure="all")
    assert ledger.rows[0].estimated_ms is None
    assert ledger.rows[0].remark == "not placed: not today"


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    with pytest.raises(VerificationError, match="after pass break: the graph returns %nothing"):
        run_pipeline(Program(small_graph()), [DeadCode(), Break()], Context())


def test_a_pass_that_breaks_the_placement_is_named() -> None:
    with pytest.raises(RefusedError, match="after pass misplace: conv-depthwise no longer takes"):
        run_pipeline(Program(small_graph()), [Place(), Misplace()], Context(Cpu()))


def test_progress_grows_and_passes_report_their_share() -> None:
    @dataclass(frozen=True)
    class Slow(Pass):
        """Report being half done."""

        name: ClassVar[str] = "slow"

        def run(self, program: Program, context: Context) -> Program:
            context.progress("half", 0.5)
            return program

    seen: list[tuple[str, float]] = []
    context = Context(progress=lambda message, done: seen.append((message, done)))
    run_pipeline(Program(small_graph()), [Slow(), Slow()], context)
    shares = [done for _, done in seen]
    assert shares == sorted(shares)
    assert ("[1/2] half", 0.25) in seen and ("[2/2] half", 0.75) in seen


def test_ledger_survives_json() -> None:
    import json

    _, ledger = run_pipeline(Program(small_graph()), [Scale()], Context())
    assert ledger_from_json(json.loads(json.dumps(ledger.json()))) == ledger


def test_layouts_do_not_change_the_meaning_and_weights_do() -> None:
    plain = Program(small_graph())
    placed = Cpu().place(plain)
    assert placed.graph != plain.graph
    assert meaning(placed.graph) == meaning(plain.graph)
    assert meaning(Scale().run(plain, Context()).graph) != meaning(plain.graph)
