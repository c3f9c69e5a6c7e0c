"""What the tuner knows of a task, while it runs and in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

from codesign.ir.program import Point
from codesign.tune.budget import Account
from codesign.tune.duel import Duel
from codesign.tune.search import Choice
from codesign.tune.work import Task

Source = Literal["duel", "trial", "earlier"]


@dataclass(frozen=True)
class Result:
    """One task: medians in seconds, infinite where nothing could be timed.

    `settled` is the kernel and point that compiling will use. `duel` is the one that it won in this
    run, or else the last that it was not beaten in, None where none was fought. `alone` is what a
    trial of it takes, in this run if `anew`, else in earlier ones. `best` is the fastest trial and
    `best_choice` what was tried, which nothing has confirmed unless it is settled.
    """

    task: Task
    alone: float
    anew: bool
    best: float
    best_choice: Choice | None
    settled: tuple[str, Point]
    duel: Duel | None
    trials: int
    failures: int

    @property
    def weight(self) -> int:
        """How many layers do this work."""
        return len(self.task.layers)

    @property
    def won(self) -> bool:
        """Whether something faster was settled in this run."""
        return self.duel is not None and self.duel.won

    @property
    def start(self) -> float:
        """Seconds with what compiling used before, from the same runs as `after`."""
        return self.duel.against if self.duel else self.alone

    @property
    def after(self) -> float:
        """Seconds with what is settled."""
        return self.duel.seconds if self.duel and self.duel.won else self.start

    @property
    def source(self) -> Source | None:
        """Where `start` and `after` come from: a duel, one trial, or an earlier run's."""
        if self.duel:
            return "duel"
        if not isfinite(self.alone):
            return None
        return "trial" if self.anew else "earlier"

    def json(self) -> dict[str, Any]:
        """This result as a row of `codesign tune --json`, None for what is not known."""
        kernel, point = self.settled
        return {
            "op": self.task.op,
            "work": self.task.work,
            "shape": self.task.shape,
            "layers": list(self.task.layers),
            "weight": self.weight,
            "flops": self.task.operations,
            "trials": self.trials,
            "failures": self.failures,
            "start_ms": milliseconds(self.start),
            "settled_ms": milliseconds(self.after),
            "measured_in": self.source,
            "best_ms": milliseconds(self.best),
            "best_kernel": self.best_choice[0] if self.best_choice else None,
            "kernel": kernel,
            "point": dict(point),
            "faster": self.duel.ratio if self.duel and self.duel.won else None,
        }


def result(account: Account) -> Result:
    """What is known of the task of `account` by now."""
    search = account.search
    fought = [duel for duel in account.duels if duel.first]
    failures = sum(seconds == inf for times in search.times.values() for seconds in times)
    best, choice = search.best
    return Result(
        search.task,
        search.tried.get(search.incumbent, inf),
        search.renewed,
        best,
        choice,
        search.incumbent,
        fought[-1] if fought else None,
        account.trials,
        failures,
    )


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """All tasks, and their sum before and after, weighted by how often they occur."""
    return {
        "tasks": [result.json() for result in results],
        "trials": sum(result.trials for result in results),
        "failures": sum(result.failures for result in results),
        "won": sum(result.won for result in results),
        "start_ms": milliseconds(sum(result.weight * result.start for result in results)),
        "settled_ms": milliseconds(sum(result.weight * result.after for result in results)),
    }


def milliseconds(seconds: float) -> float | None:
    """Seconds as ms, None for what was never timed."""
    return seconds * 1e3 if isfinite(seconds) else None
