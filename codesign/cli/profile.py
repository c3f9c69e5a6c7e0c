"""`codesign profile`: measure this device and fit the cost model to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import console, result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import percent, show_table

if TYPE_CHECKING:
    from codesign.mapping.target import Target
    from codesign.profile.table import Profile


def profile_verb(
    target: options.TargetSpec = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to measure.")] = 8.0,
    tuning_records: options.Records = None,
    rpc_tracker: options.RpcTracker = None,
    rpc_key: options.RpcKey = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Drop the profile and its points; measure nothing.")
    ] = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure layers of many kinds on this device and fit the cost model to them.

    Every later estimate, check and compile for the target uses the fit and carries its error. Stop
    and resume at any time: what was measured is kept in the tuning database. With --forget
    estimates are those of the cost model again.
    """
    from codesign.cli.request import make_target, parse_tracker
    from codesign.profiling.run import Settings, make_profile
    from codesign.rewrite.recipe import Recipe
    from codesign.tune.paths import database

    goal = make_target(target, Recipe(), threads)
    records = database(tuning_records)
    if forget:
        show_forgotten(goal, records, rpc_key)
        return
    tracker = parse_tracker(rpc_tracker, rpc_key)
    limits = Settings(minutes * 60, seed=seed or 0, tracker=tracker)
    with progress("profile") as report:
        found, run, path = make_profile(goal, records, limits, report)
    if settings.json:
        told = {"target": found.target, "device": dict(found.device), "profile": str(path)}
        counts = {"measured": run.measured, "recalled": run.recalled, "failed": run.failures}
        kernels = [{**k.json(), "used": k.used} for k in found.kernels]
        rows = {"quality": list(found.quality), "kernels": kernels}
        result({**told, **counts, **rows})
        return
    show_quality(found)
    for line in closing(found, list(goal.by_name)):
        console().print(line, markup=False)
    say(f"{run.measured} points measured, {run.recalled} known before, {run.failures} failed")
    say(f"the profile is {path}; `codesign profile --forget` drops it")


def closing(profile: "Profile", kernels: Sequence[str]) -> Iterator[str]:
    """Of which of all `kernels` estimates use the fit, and of which they do not, and why."""
    from codesign.profile.judgement import ENOUGH, WORST

    used = [k.kernel for k in profile.kernels if k.used]
    thin = [f"{k.kernel} {k.fitted}" for k in profile.kernels if k.error is None]
    bad = [f"{k.kernel} {k.error:.0%}" for k in profile.kernels if k.error and not k.used]
    missing = sorted(set(kernels) - {k.kernel for k in profile.kernels})
    if used:
        yield f"estimates use the fit of {len(used)} kernels: {', '.join(used)}"
    else:
        yield "estimates use no fit yet: measure longer (--minutes)"
    if thin:
        yield f"too few points, the model stays ({ENOUGH} are needed to fit): {', '.join(thin)}"
    if bad:
        yield f"fits off by more than {WORST:.0%}, the model stays: {', '.join(bad)}"
    if missing:
        yield f"not measured, the model stays: {', '.join(missing)}"
    if profile.kernels and (thin or bad or missing):
        yield "where the model stays, its error bar is what models were seen to be off by here"


def show_forgotten(target: "Target", records: Path, key: str | None) -> None:
    """Drop a profile and tell what went."""
    from codesign.profiling.forget import forget

    gone = forget(target, records, key)
    if settings.json:
        result({"profile": str(gone.path), "dropped": gone.there, "points": gone.points})
    elif gone.there or gone.points:
        say(f"dropped the profile of {target.spec} ({gone.path}) and its {gone.points} points")
    else:
        say(f"there is no profile of {target.spec} beside {records}")


def show_quality(profile: "Profile") -> None:
    """A row an op and form of its operands."""
    device = profile.device.get("cpu") or profile.device["rpc_key"]
    show_table(
        f"{profile.target} on {device}: errors on points held out",
        (
            ("op", lambda row: row["op"]),
            ("points", lambda row: str(row["points"])),
            ("held out", lambda row: str(row["held_out"])),
            ("model alone", lambda row: percent(row["model_error"])),
            ("estimated, median", lambda row: percent(row["error"])),
            ("estimated, 90 %", lambda row: percent(row["error_p90"])),
        ),
        profile.quality,
    )
