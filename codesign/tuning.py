"""Model + target + passes -> tuned schedules in a store: what `codesign tune` does."""

from pathlib import Path

from codesign.compiler import Job, run_passes
from codesign.errors import TuningError, UsageError
from codesign.mapping.target import Target
from codesign.runtime.host import device
from codesign.tune import learned
from codesign.tune.journal import Journal
from codesign.tune.remote import Tracker, check
from codesign.tune.result import Result
from codesign.tune.store import Store
from codesign.tune.tuner import Listen, Settings, Tuner
from codesign.tune.work import Task, tasks_of


def tune_job(job: Job, records: Path, settings: Settings, listen: Listen) -> list[Result]:
    """Run the passes of `job` and look for better schedules of what comes out, on this device.

    Every trial is in the store `records` as soon as it is finished; compiling for the same target
    on this device uses the winners. What `check_tuning` raises; TuningError if every trial failed.
    """
    check_tuning(job.target, settings.tracker)
    placed = run_passes(job)
    key = settings.tracker.key if settings.tracker else None
    with Store(records) as store:
        journal = Journal(store, job.target, device(key))
        tasks = worthwhile(tasks_of(placed), job)
        tuner = Tuner(tasks, job.target, journal, settings, listen)
        found = tuner.run()
        tuner.refuse_failures()
        return found


def check_tuning(target: Target, tracker: Tracker | None) -> None:
    """Whether tuning for `target` could work at all, before any long step.

    UsageError where the target cannot run here and there is no `tracker`; TuningError where a
    package, a linker or the devices are missing.
    """
    if why := learned.missing():
        raise TuningError(why)
    if tracker is not None:
        check(target, tracker)
    elif not target.runs_here():
        raise UsageError(
            f"target {target.spec} cannot be measured on this machine, so there is nothing to "
            "tune on; run the tuner where the target runs, or on devices of an RPC tracker"
        )


def worthwhile(tasks: list[Task], job: Job) -> list[Task]:
    """The tasks with more than one candidate."""
    return [task for task in tasks if len(set(task.candidates(job.target))) > 1]
