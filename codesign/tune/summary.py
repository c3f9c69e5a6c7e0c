"""What a store knows of each task on each device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.tune.point import parse_json
from codesign.tune.ranking import Entry, ranked
from codesign.tune.store import Store
from codesign.tune.trial import Task


@dataclass(frozen=True)
class Line:
    """A task on a device (key; "" if it was never measured) and its best trial, any version."""

    task: Task
    device: str
    trials: int
    failures: int
    best: Entry | None

    @property
    def gflops(self) -> float | None:
        """Billions of operations a second with the best schedule."""
        seconds = self.best and self.best.seconds
        return self.task.flops / seconds / 1e9 if seconds else None

    def json(self) -> dict[str, Any]:
        """As one object; times in ms."""
        best = self.best
        return {
            "task": self.task.key,
            "op": self.task.op,
            "target": self.task.target,
            "flops": self.task.flops,
            "device": self.device or None,
            "trials": self.trials,
            "failures": self.failures,
            "kernel": best.kernel if best else None,
            "version": best.version if best else None,
            "best_ms": best.seconds * 1e3 if best and best.seconds else None,
            "gflops": self.gflops,
            "point": parse_json(best.point) if best else None,
        }


def summary(store: Store) -> list[Line]:
    """A line for each task and device that it was measured on, in the order of adding.

    DamagedStoreError where any part of the file is not as it was written.
    """
    store.verify()
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in store.entries():
        found.setdefault((entry.task, entry.device), []).append(entry)
    lines = []
    for task in store.tasks():
        devices = [device for key, device in found if key == task.key]
        lines += [_line(task, device, found[task.key, device]) for device in devices]
        if not devices:
            lines.append(Line(task, "", 0, 0, None))
    return lines


def _line(task: Task, device: str, entries: Sequence[Entry]) -> Line:
    failures = sum(entry.status != "ok" for entry in entries)
    return Line(task, device, len(entries), failures, next(iter(ranked(entries)), None))
