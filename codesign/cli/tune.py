"""`codesign tune`: look for better schedules on this device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, ms, rate, show_table
from codesign.cli.tuning import watching

if TYPE_CHECKING:
    from codesign.tune.result import Result


@asking
def tune_verb(
    asked: Asked,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of earlier runs included.")
    ] = 1000,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop searching after so many minutes.")
    ] = None,
    tuning_records: options.Records = None,
    rpc_tracker: options.RpcTracker = None,
    rpc_key: options.RpcKey = None,
) -> None:
    """Search schedules for MODEL on this device; stop and resume at any time.

    Every finished trial is kept. `codesign compile` uses the winners by itself.
    """
    from codesign.cli.request import parse_tracker
    from codesign.tune.paths import default_path
    from codesign.tune.tuner import Settings
    from codesign.tuning import tune_job

    tracker = parse_tracker(rpc_tracker, rpc_key)
    records = tuning_records or default_path()
    with progress("tune") as show:
        work = asked.job(show, records=records if records.exists() else None)
    seconds = float("inf") if minutes is None else minutes * 60
    limits = Settings(trials, seconds, asked.seed or 0, tracker=tracker)
    with watching(limits) as listen:
        found = tune_job(work, records, limits, listen)
    show_results(found, work.program.graph.name, work.target.spec, records)


def show_results(results: "list[Result]", name: str, target: str, records: Path) -> None:
    """A row a task, and the sum of all tasks before and after."""
    from codesign.tune.result import summary

    told = summary(results)
    if settings.json:
        result({"target": target, "records": str(records), **told})
        return
    show_table(
        f"{name} on {target}",
        (
            ("layer", lambda row: f"%{row['layers'][0]}"),
            ("op", lambda row: row["op"]),
            ("kernel", lambda row: row["kernel"]),
            ("weight", lambda row: str(row["weight"])),
            ("FLOP", lambda row: count(row["flops"])),
            ("GFLOP/s", lambda row: rate(row["flops"], row["settled_ms"])),
            ("start ms", lambda row: ms(row["start_ms"])),
            ("settled ms", lambda row: ms(row["settled_ms"])),
            ("trials", lambda row: str(row["trials"])),
            ("failed", lambda row: str(row["failures"] or "")),
            ("ratio", lambda row: "" if row["faster"] is None else f"{row['faster']:.2f}x"),
        ),
        told["tasks"],
        left=3,
    )
    before, after = told["start_ms"], told["settled_ms"]
    known = before is not None and after is not None
    total = f"{ms(before)} ms before, {ms(after)} ms after" if known else "not all measured in"
    console().print(f"sum of the tasks: {total} {told['trials']} trials", markup=False)
    say(f"kept in {records}")
