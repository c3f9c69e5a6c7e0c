"""What a store knows of each task on each device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.tune.journal import winner
from codesign.tune.naming import BARE, ops_of, shape_of
from codesign.tune.point import parse_json, print_point
from codesign.tune.ranking import Entry, ranked
from codesign.tune.store import Store
from codesign.tune.trial import Task


@dataclass(frozen=True)
class Line:
    """A task on a device (key; "" if it was never measured), of kernels of any version.

    `settled` is the best duel that was won: what compiling uses while its kernel stays what it is.
    `best` is the fastest trial, which nothing has confirmed.
    """

    task: Task
    device: str
    trials: int
    failures: int
    best: Entry | None
    settled: Entry | None = None

    @property
    def profiled(self) -> bool:
        """Whether this is a point of `codesign profile`, which no network is compiled with."""
        return self.task.text.startswith(BARE)

    @property
    def name(self) -> str:
        """Ops and shapes."""
        return f"{ops_of(self.task.text) or self.task.op} {shape_of(self.task.text)}".rstrip()

    @property
    def differs(self) -> bool:
        """Whether the best trial is of something else than what is settled."""
        if self.best is None or self.settled is None:
            return False
        return self.best.measured != self.settled.measured

    @property
    def gflops(self) -> float | None:
        """Billions of operations a second with what is settled, else in the best trial."""
        told = self.settled or self.best
        seconds = told and told.seconds
        return self.task.flops / seconds / 1e9 if seconds else None

    def json(self) -> dict[str, Any]:
        """As one object; times in ms. `kernel`, `point` and `best_ms` are of the best trial."""
        best = self.best
        return {
            "task": self.task.key,
            "name": self.name,
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
            "settled": _settled(self.settled),
        }


def _settled(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None or entry.seconds is None:
        return None
    return {
        "kernel": entry.kernel,
        "version": entry.version,
        "point": parse_json(entry.point),
        "ms": entry.seconds * 1e3,
        "ratio": entry.ratio,
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
        lines += [_line(store, task, device, found[task.key, device]) for device in devices]
        if not devices:
            lines.append(Line(task, "", 0, 0, None))
    return lines


def _line(store: Store, task: Task, device: str, entries: Sequence[Entry]) -> Line:
    trials = [entry for entry in entries if not entry.duel]
    failures = sum(entry.status != "ok" for entry in trials)
    best = next(iter(ranked(trials)), None)
    duels = [entry for entry in entries if entry.duel]
    settled = _won(store, task, device, duels) if duels else None
    return Line(task, device, len(trials), failures, best, settled)


def _won(store: Store, task: Task, device: str, duels: Sequence[Entry]) -> Entry | None:
    """The duel that compiling goes by."""
    won = winner(store.trials(task=task.key, device=device))
    name = won and (won.kernel, won.version, print_point(won.point))
    return next((e for e in reversed(duels) if (e.kernel, e.version, e.point) == name), None)
