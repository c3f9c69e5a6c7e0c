"""`codesign tune`: look for better schedules on this device."""

import random
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from codesign.cli import options
from codesign.cli.asked import Asked, asking
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, ms, rate, show_table
from codesign.cli.tuning import watching

AGAIN = "run it again to go on from here"


@asking
def tune_verb(
    asked: Asked,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of earlier runs included.")
    ] = 1000,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="How long to search and settle; at most half of it is for settling."
        ),
    ] = None,
    rpc_tracker: options.RpcTracker = None,
    rpc_key: options.RpcKey = None,
) -> None:
    """Search schedules for MODEL on this device; stop and resume at any time.

    Every finished trial is kept. In the end it settles: the fastest trials run in turns with what
    compiling uses now, and replace that where they win by more than the noise. `codesign compile`
    uses the winners by itself. Ctrl-C settles what was found, a second one stops at once. Several
    runs on one database share the work.

    With --json stderr has one JSON object a line: {"event": "start" | "trial" | "duel" | ...,
    "seconds": S, ...}; README.md lists them. --tuning-records names the database to keep trials in.
    """
    from codesign.cli.request import parse_tracker
    from codesign.tune.paths import database
    from codesign.tune.tuner import Settings
    from codesign.tuning import check_tuning, tune_job

    settings.events = settings.json
    tracker, records = parse_tracker(rpc_tracker, rpc_key), database(asked.tuning_records)
    check_tuning(asked.machine(), tracker)
    with progress("tune") as show:
        work = asked.job(show, records=records if records.exists() else None)
    seconds = float("inf") if minutes is None else minutes * 60
    seed = random.SystemRandom().randrange(2**31) if asked.seed is None else asked.seed
    limits = Settings(trials, seconds, seed, tracker=tracker)
    told: dict[str, Any] = {}
    with watching(limits) as listen:

        def hear(event: Mapping[str, Any]) -> None:
            told.update(event if event["event"] == "done" else {})
            listen(event)

        tune_job(work, records, limits, hear)
    told = {key: value for key, value in told.items() if key != "event"}
    if settings.json:
        result({"target": work.target.spec, "records": str(records), **told})
        return
    show_results(told, f"{work.program.graph.name} on {work.target.spec}")
    say(f"kept in {records}")
    if told["interrupted"]:
        say(f"interrupted; {AGAIN}")


def show_results(told: Mapping[str, Any], title: str) -> None:
    """A row a task, and the sum of all tasks before and after."""
    show_table(
        title,
        (
            ("layer", lambda row: f"%{row['layers'][0]}"),
            ("op", lambda row: row["op"]),
            ("shape", lambda row: row["shape"]),
            ("kernel", lambda row: row["kernel"]),
            ("weight", lambda row: str(row["weight"])),
            ("FLOP", lambda row: count(row["flops"])),
            ("GFLOP/s", lambda row: rate(row["flops"], row["settled_ms"])),
            ("before ms", lambda row: ms(row["start_ms"])),
            ("settled ms", lambda row: ms(row["settled_ms"])),
            ("ratio", lambda row: "" if row["faster"] is None else f"{row['faster']:.2f}x"),
            ("from", lambda row: row["measured_in"] or ""),
            ("best trial ms", lambda row: ms(row["best_ms"])),
            ("trials", lambda row: str(row["trials"])),
            ("failed", lambda row: str(row["failures"] or "")),
        ),
        told["tasks"],
        left=4,
        spare=("shape", "FLOP", "GFLOP/s", "failed"),
    )
    for line in lines(told):
        console().print(line, markup=False)


def lines(told: Mapping[str, Any]) -> list[str]:
    """What came of it, in sentences."""
    before, after = told["start_ms"], told["settled_ms"]
    known = before is not None and after is not None
    total = f"{ms(before)} ms before, {ms(after)} ms after" if known else "not all measured in"
    found = [f"sum of the tasks: {total} {told['trials']} trials"]
    sources = {row["measured_in"] for row in told["tasks"]}
    if "duel" in sources:
        found.append("from duel: before and settled are of the same runs, in turns")
    if sources & {"trial", "earlier"}:
        found.append("from trial: measured once in this run, no duel; earlier: in an earlier run")
    if known and not told["won"] and not told["unsettled"]:
        found.append(nothing_won(told))
    if told["unsettled"]:
        found.append(
            f"{told['unsettled']} tasks have a faster trial that was not compared with what is "
            f"settled yet; {AGAIN}"
        )
    return found


def nothing_won(told: Mapping[str, Any]) -> str:
    """That all stays as it was, and what that is."""
    if told["tuned"]:
        return "nothing was faster than what was settled before by more than the noise"
    return "nothing was faster than the untuned schedules by more than the noise"
