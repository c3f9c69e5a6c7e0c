"""Filling in a row of the ledger: counts, estimate, measurement, score."""

from dataclasses import dataclass
from typing import Any, Literal

from codesign.analysis import counts
from codesign.analysis.entropy import entropy_bytes
from codesign.analysis.estimate import Estimate
from codesign.errors import RefusedError, UnsupportedModelError
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Note, Target
from codesign.rewrite.ledger import Row
from codesign.rewrite.meaning import meaning
from codesign.rewrite.score import Score, Scorer
from codesign.rewrite.zeros import seeing

Measure = Literal["none", "ends", "all"]


class Recorder:
    """Answers the ledger's questions about a program, with the data and target of a context."""

    def __init__(self, original: Graph, context: Context, measure: Measure) -> None:
        self.context = context
        self.measure = measure
        data = context.validation or context.calibration
        self.scorer = Scorer(original, data, context.score_samples)
        self.scored_on = "validation" if context.validation else "calibration" if data else ""
        self._scored: tuple[tuple[Any, ...], Score] | None = None

    def score(self, graph: Graph) -> Score:
        """The score of `graph`; that of the row before if it means the same."""
        key = meaning(graph)
        if self._scored is None or self._scored[0] != key:
            self._scored = key, self.scorer(graph)
        return self._scored[1]

    def row(
        self,
        step: str,
        program: Program,
        seconds: float = 0.0,
        notes: tuple[Note, ...] = (),
        important: bool = True,
    ) -> Row:
        """The row of `program` after `step`; timed if `important` and measuring is asked for."""
        graph = program.graph
        timed = self.measure == "all" or (self.measure == "ends" and important)
        target = self.context.target
        target = target and seeing(target, graph, self.context)
        cost = costs(program, target, timed)
        score = self.score(graph)
        return Row(
            step,
            counts.parameters(graph),
            counts.stored_bytes(graph),
            counts.macs(graph),
            counts.bit_operations(graph),
            entropy_bytes(graph),
            cost.estimate.latency_ms if cost.estimate else None,
            cost.measured.latency_ms if cost.measured else None,
            cost.estimate.energy_uj if cost.estimate else None,
            score.accuracy,
            score.snr_db,
            seconds,
            notes,
            cost.remark,
            score.samples,
            score.samples_of,
            self.scored_on,
            tuned=cost.estimate.tuned if cost.estimate else 0,
            layers=len(cost.estimate.layers) if cost.estimate else 0,
        )


@dataclass(frozen=True)
class Costs:
    """What the target says about a program; `remark` tells why it says nothing."""

    estimate: Estimate | None = None
    measured: Estimate | None = None
    remark: str = ""


def costs(program: Program, target: Target | None, timed: bool) -> Costs:
    """Cost of `program` on `target`, placed and laid out on a copy as far as it is not."""
    if target is None:
        return Costs()
    try:
        placed = scheduled(program, target)
    except (UnsupportedModelError, RefusedError) as error:
        return Costs(remark=f"not placed: {error}")
    return Costs(target.estimate(placed), target.measure(placed) if timed else None)


def scheduled(program: Program, target: Target) -> Program:
    """`program` as it would run: with kernels and layouts."""
    if not program.placement:
        return target.place(program)
    return program if laid_out(program, target) else target.choose_layouts(program)


def laid_out(program: Program, target: Target) -> bool:
    """True if layouts have been chosen too, so that `program` could be built."""
    try:
        target.verify(program)
    except RefusedError:
        return False
    return True
