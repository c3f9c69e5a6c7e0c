"""Running passes in order: verify after each, and write the ledger."""

import time
from collections.abc import Sequence

from codesign import spec
from codesign.errors import RefusedError, VerificationError
from codesign.ir.program import Program, verify_program
from codesign.rewrite.context import Context
from codesign.rewrite.ledger import Ledger
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.recorder import Measure, Recorder


def run_pipeline(
    program: Program, passes: Sequence[Pass], context: Context, measure: Measure = "none"
) -> tuple[Program, Ledger]:
    """`program` after all `passes`, verified after each, and the ledger of what each changed.

    `measure` says for which rows the target times the program: none; the first, the last and those
    where a pass scheduled it anew (`ends`); or all. VerificationError and RefusedError name the
    pass that broke the program.
    """
    recorder = Recorder(program.graph, context, measure)
    total = len(passes) + 1
    context.progress("cost of the model as it came", 0.0)
    rows = [recorder.row("input", program)]
    for i, step in enumerate(passes, start=1):
        name = spec.show(step.name, step)
        context.progress(f"{name} [{i}/{len(passes)}]", i / total)
        start = time.perf_counter()
        after = run_pass(program, step, context)
        seconds = time.perf_counter() - start
        important = i == len(passes) or _scheduled_anew(program, after)
        rows.append(recorder.row(name, after, seconds, tuple(context.notes), important))
        program = after
    return program, Ledger(tuple(rows))


def run_pass(program: Program, step: Pass, context: Context) -> Program:
    """`program` after one pass, verified; its notes, and no others, are in the context."""
    context.notes = []
    after = step.run(program, context)
    verify(after, context, spec.show(step.name, step))
    return after


def _scheduled_anew(before: Program, after: Program) -> bool:
    """True if kernels, schedules or layouts were chosen anew."""
    return bool(after.placement) and after.placement != before.placement


def verify(program: Program, context: Context, step: str) -> None:
    """Raise, naming `step`, unless the program is valid and the target takes it as placed."""
    try:
        verify_program(program)
        if program.placement and context.target is not None:
            context.target.verify(program, layouts=False)
    except (VerificationError, RefusedError) as error:
        raise type(error)(f"after pass {step}: {error}") from None
