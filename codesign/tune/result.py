"""What the tuner knows of a task in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from codesign.ir.program import Point
from codesign.tune.duel import Duel
from codesign.tune.work import Task


@dataclass(frozen=True)
class Result:
    """One task: medians in seconds, infinite where nothing could be timed.

    `settled` is the kernel and point that compiling will use, `duel` the one that it won in this
    run, None where the start stays.
    """

    task: Task
    start: float
    best: float
    settled: tuple[str, Point]
    duel: Duel | None
    trials: int
    failures: int

    @property
    def weight(self) -> int:
        """How many layers do this work."""
        return len(self.task.layers)

    @property
    def after(self) -> float:
        """Seconds with what is settled: the start by the ratio of the duel."""
        return self.start * self.duel.ratio if self.duel else self.start

    def json(self) -> dict[str, Any]:
        """This result as a row of `codesign tune --json`, None for what is not known."""
        kernel, point = self.settled
        return {
            "op": self.task.op,
            "work": self.task.work,
            "layers": list(self.task.layers),
            "weight": self.weight,
            "flops": self.task.operations,
            "trials": self.trials,
            "failures": self.failures,
            "start_ms": milliseconds(self.start),
            "best_ms": milliseconds(self.best),
            "settled_ms": milliseconds(self.after),
            "kernel": kernel,
            "point": dict(point),
            "faster": self.duel.ratio if self.duel else None,
        }


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """All tasks, and their sum before and after, weighted by how often they occur."""
    return {
        "tasks": [result.json() for result in results],
        "trials": sum(result.trials for result in results),
        "failures": sum(result.failures for result in results),
        "start_ms": milliseconds(sum(result.weight * result.start for result in results)),
        "settled_ms": milliseconds(sum(result.weight * result.after for result in results)),
    }


def milliseconds(seconds: float) -> float | None:
    """Seconds as ms, None for what was never timed."""
    return seconds * 1e3 if isfinite(seconds) else None
