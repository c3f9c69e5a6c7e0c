"""`codesign profile`: measure this device and fit the cost model to it."""

from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli import options
from codesign.cli.output import result, say, settings
from codesign.cli.progress import progress
from codesign.cli.tables import percent, show_table

if TYPE_CHECKING:
    from codesign.profile.table import Profile


def profile_verb(
    target: options.TargetSpec = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to measure.")] = 8.0,
    tuning_records: options.Records = None,
    rpc_tracker: options.RpcTracker = None,
    rpc_key: options.RpcKey = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure layers of many kinds on this device and fit the cost model to them.

    Every later estimate, check and compile for the target uses the fit and carries its error. Stop
    and resume at any time: what was measured is kept in the tuning database.
    """
    from codesign.cli.request import make_target, parse_tracker
    from codesign.profiling.run import Settings, make_profile
    from codesign.rewrite.recipe import Recipe
    from codesign.tune.paths import database

    goal = make_target(target, Recipe(), threads)
    tracker = parse_tracker(rpc_tracker, rpc_key)
    limits = Settings(minutes * 60, seed=seed or 0, tracker=tracker)
    records = database(tuning_records)
    with progress("profile") as report:
        found, run, path = make_profile(goal, records, limits, report)
    if settings.json:
        told = {"target": found.target, "device": dict(found.device), "profile": str(path)}
        counts = {"measured": run.measured, "recalled": run.recalled, "failed": run.failures}
        result({**told, **counts, "quality": list(found.quality)})
        return
    show_quality(found)
    say(f"{run.measured} points measured, {run.recalled} known before, {run.failures} failed")
    say(f"the profile is {path}; estimates for {found.target} on this device use it from now on")


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
            ("fitted, median", lambda row: percent(row["error"])),
            ("90th percentile", lambda row: percent(row["error_p90"])),
        ),
        profile.quality,
    )
