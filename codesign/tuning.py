"""Model + target + passes -> tuned schedules in a store: what `codesign tune` does."""

from pathlib import Path

from codesign.compiler import Job, run_passes
from codesign.errors import UsageError
from codesign.runtime.host import device
from codesign.tune.journal import Journal
from codesign.tune.result import Result
from codesign.tune.store import Store
from codesign.tune.tuner import Listen, Settings, Tuner
from codesign.tune.work import Task, tasks_of


def tune_job(job: Job, records: Path, settings: Settings, listen: Listen) -> list[Result]:
    """Run the passes of `job` and look for better schedules of what comes out, on this device.

    Every trial is in the store `records` as soon as it is finished; compiling for the same target
    on this device uses the winners. UsageError where the target cannot run here.
    """
    remote = settings.tracker
    if remote is None and not job.target.runs_here():
        raise UsageError(
            f"target {job.target.spec} cannot be measured on this machine, so there is nothing to "
            "tune on; run the tuner where the target runs, or on devices of an RPC tracker"
        )
    placed = run_passes(job)
    with Store(records) as store:
        journal = Journal(store, job.target, device(remote.key if remote else None))
        return Tuner(worthwhile(tasks_of(placed), job), job.target, journal, settings, listen).run()


def worthwhile(tasks: list[Task], job: Job) -> list[Task]:
    """The tasks with more than one candidate."""
    return [task for task in tasks if len(set(task.candidates(job.target))) > 1]
