"""Running passes in order: verify after each, and write the ledger."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from codesign import spec
from codesign.errors import (
    CodesignError,
    PassError,
    RefusedError,
    VerificationError,
    foreign_code,
)
from codesign.ir.program import Program, verify_program
from codesign.rewrite.context import Context
from codesign.rewrite.ledger import Ledger, Row
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.recorder import Measure, Recorder
from codesign.rewrite.speedup import Verdict, verdict
from codesign.rewrite.unscheduled import without_layouts
from codesign.rewrite.zeros import seeing


def run_pipeline(
    program: Program,
    passes: Sequence[Pass],
    context: Context,
    measure: Measure = "none",
    tidying: Collection[str] = (),
    require_speedup: float | None = None,
) -> tuple[Program, Ledger]:
    """`program` after all `passes`, verified after each, and the ledger of what each changed.

    `measure` says for which rows the target times the program: none; the first, the last and those
    where a pass scheduled it anew (`ends`); or all. The row of a pass that changed nothing says so,
    unless its name is in `tidying`. With `require_speedup` what another pass made (but for one that
    trains) is dropped, its notes with it, and its row says so, unless the program became so many
    times faster on the target; how many times it did is in the row either way. While it runs, the
    context has `program` as the original.
    VerificationError and RefusedError name the pass that broke the program.
    """
    context.original = program.graph
    recorder = Recorder(program.graph, context, measure)
    context.progress("input: cost and accuracy", 0.0)
    rows = [recorder.row("input", program)]
    for i, step in enumerate(passes, start=1):
        name = spec.show(step.name, step)
        start = time.perf_counter()
        with _share(context, i, len(passes)):
            after = run_pass(program, step, context)
        seconds = time.perf_counter() - start
        judged = None
        free = step.trains or step.name in tidying
        if require_speedup is not None and not free and after != program:
            judged = verdict(program, after, context.target, require_speedup)
        refused = judged is not None and not judged.pays
        remark = "changed nothing" if after == program and step.name not in tidying else ""
        notes = () if refused else tuple(context.notes)
        after = program if refused else after
        context.progress(f"{step.name} [{i}/{len(passes)}]: cost and accuracy", i / len(passes))
        important = i == len(passes) or _scheduled_anew(program, after)
        said = [] if refused else list(context.remarks)
        row = recorder.row(name, after, seconds, notes, important)
        row = _remarked(row, "; ".join(said))
        rows.append(_remarked(row, remark) if judged is None else _decided(row, judged))
        program = after
    return program, Ledger(tuple(rows))


def _decided(row: Row, judged: Verdict) -> Row:
    """`row` with what came of asking whether its pass pays."""
    word = "kept" if judged.pays else "refused"
    row = replace(row, refused=not judged.pays, speedup=judged.ratio)
    return _remarked(row, f"{word}: {judged.text}")


def _remarked(row: Row, text: str) -> Row:
    """`row` with `text` added to its remark."""
    return replace(row, remark="; ".join(part for part in (text, row.remark) if part))


@contextmanager
def _share(context: Context, i: int, total: int) -> Iterator[None]:
    """While pass number `i` runs, what it reports is its share of the whole."""
    outer = context.progress

    def inner(message: str, done: float) -> None:
        outer(f"[{i}/{total}] {message}", (i - 1 + min(1.0, max(0.0, done))) / total)

    context.progress = inner
    try:
        yield
    finally:
        context.progress = outer


def run_pass(program: Program, step: Pass, context: Context) -> Program:
    """`program` after one pass, verified; its notes, and no others, are in the context.

    A pass that does not schedule works on the program as it was before it was scheduled; a program
    that it leaves as it is stays scheduled.
    """
    context.notes, context.remarks = [], []
    context.progress(step.name, 0.0)
    given = program if step.schedules else without_layouts(program)
    after = _run(given, step, context)
    after = program if after == given else after
    verify(after, context, spec.show(step.name, step))
    return after


def _run(program: Program, step: Pass, context: Context) -> Program:
    """What `step` makes of `program`; PassError, naming it, for anything unforeseen."""
    with foreign_code(
        lambda why: PassError(
            f"pass {step.name!r} failed: {why}; this is a fault of the pass "
            f"({type(step).__module__}), not of the model"
        ),
        passing=(CodesignError,),
    ):
        after: object = step.run(program, context)
    if not isinstance(after, Program):
        raise PassError(
            f"pass {step.name!r} returned {type(after).__name__}, expected a Program, such as "
            "program.with_graph(...), or the program itself where nothing changed"
        )
    return after


def _scheduled_anew(before: Program, after: Program) -> bool:
    """True if kernels, schedules or layouts were chosen anew."""
    return bool(after.placement) and after.placement != before.placement


def verify(program: Program, context: Context, step: str) -> None:
    """Raise, naming `step`, unless the program is valid and the target takes it as placed."""
    try:
        verify_program(program)
        if program.placement and context.target is not None:
            target = seeing(context.target, program.graph, context)
            target.verify(program, layouts=False)
    except (VerificationError, RefusedError) as error:
        raise type(error)(f"after pass {step}: {error}") from None
