"""`codesign tune`: look for better schedules on this device."""

from typing import Annotated

import typer

from codesign.cli import options
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import count, ms, show_table
from codesign.cli.tuning import watching


def tune_verb(
    model: options.Model,
    target: options.TargetSpec = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of earlier runs included.")
    ] = 1000,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop searching after so many minutes.")
    ] = None,
    tuning_records: options.Records = None,
    recipe: options.Recipe = None,
    passes: options.Passes = None,
    assignments: options.Set = None,
    calibration: options.Calibration = None,
    input_shape: options.InputShape = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Search schedules for MODEL on this device; stop and resume at any time.

    Every finished trial is kept. `codesign compile` uses the winners by itself.
    """
    from codesign.cli.request import job
    from codesign.tune.paths import default_path
    from codesign.tune.tuner import Settings
    from codesign.tuning import report, tune_job

    records = tuning_records or default_path()
    with progress("tune") as show:
        show(f"loading {model}", 0.0)
        work = job(
            model,
            target,
            recipe,
            passes,
            assignments,
            input_shape,
            threads,
            calibration=calibration,
            seed=seed,
            progress=show,
            records=records if records.exists() else None,
        )
    limits = Settings(trials, float("inf") if minutes is None else minutes * 60, seed or 0)
    with watching(limits) as listen:
        found = tune_job(work, records, limits, listen)
    told = report(found, records, work.target.spec)
    if settings.json:
        result(told)
        return
    show_table(
        f"{work.program.graph.name} on {told['target']}",
        (
            ("layer", lambda row: f"%{row['layers'][0]}"),
            ("op", lambda row: row["op"]),
            ("kernel", lambda row: row["kernel"]),
            ("weight", lambda row: str(row["weight"])),
            ("FLOP", lambda row: count(row["flops"])),
            ("GFLOP/s", lambda row: count(row["flops"] / row["best_ms"] * 1e-6)),
            ("start ms", lambda row: ms(row["start_ms"])),
            ("best ms", lambda row: ms(row["best_ms"])),
            ("trials", lambda row: str(row["trials"])),
            ("failed", lambda row: str(row["failures"] or "")),
            ("settled", lambda row: "start" if row["faster"] is None else f"{row['faster']:.2f}x"),
        ),
        told["tasks"],
        left=3,
    )
    console().print(
        f"sum of the tasks: {ms(told['start_ms'])} ms before, {ms(told['best_ms'])} ms after "
        f"{told['trials']} trials",
        markup=False,
    )
    say(f"kept in {records}")
