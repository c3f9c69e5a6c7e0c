"""Model + target + passes -> tuned schedules in a store: what `codesign tune` does."""

from pathlib import Path
from typing import Any

from codesign.compiler import Job, run_passes
from codesign.errors import UsageError
from codesign.runtime.host import device
from codesign.tune.journal import Journal
from codesign.tune.store import Store
from codesign.tune.tuner import Listen, Result, Settings, Tuner
from codesign.tune.work import Task, tasks_of


def tune_job(job: Job, records: Path, settings: Settings, listen: Listen) -> list[Result]:
    """Run the passes of `job` and look for better schedules of what comes out, on this device.

    Every trial is in the store `records` as soon as it is finished; compiling for the same target
    on this device uses the winners. UsageError where the target cannot run here.
    """
    placed = run_passes(job)
    if job.target.measure(placed) is None:
        raise UsageError(
            f"target {job.target.spec} cannot be measured on this machine, so there is nothing to "
            "tune on; run the tuner where the target runs"
        )
    with Store(records) as store:
        journal = Journal(store, job.target, device())
        return Tuner(worthwhile(tasks_of(placed), job), job.target, journal, settings, listen).run()


def worthwhile(tasks: list[Task], job: Job) -> list[Task]:
    """The tasks with more than one candidate."""
    return [task for task in tasks if len(set(task.candidates(job.target))) > 1]


def report(results: list[Result], records: Path, target: str) -> dict[str, Any]:
    """What `codesign tune --json` prints: the tasks, and their sum before and after.

    Latencies are medians of tasks measured alone, weighted by how often they occur.
    """
    rows = []
    before = after = 0.0
    for result in results:
        weight = len(result.task.layers)
        settled = min(result.best, result.start) if result.settled else result.start
        before += weight * result.start
        after += weight * (settled if result.duel else result.start)
        kernel, point = result.settled
        rows.append(
            {
                "op": result.task.op,
                "work": result.task.work,
                "layers": list(result.task.layers),
                "weight": weight,
                "flops": result.task.operations,
                "trials": result.trials,
                "failures": result.failures,
                "start_ms": result.start * 1e3,
                "best_ms": result.best * 1e3,
                "kernel": kernel,
                "point": dict(point),
                "faster": result.duel.ratio if result.duel else None,
            }
        )
    return {
        "target": target,
        "records": str(records),
        "tasks": rows,
        "trials": sum(result.trials for result in results),
        "failures": sum(result.failures for result in results),
        "start_ms": before * 1e3,
        "best_ms": after * 1e3,
    }
