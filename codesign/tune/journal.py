"""What a run of the tuner reads from and writes to the store: trials, and the winners of duels."""

from collections.abc import Mapping
from math import inf
from statistics import quantiles
from typing import Any

from codesign.mapping.records import Known
from codesign.mapping.target import Target
from codesign.mapping.version import kernel_version
from codesign.mapping.workload import signature  # noqa: F401
from codesign.tune.duel import Duel
from codesign.tune.outcome import Outcome
from codesign.tune.search import Choice
from codesign.tune.store import Store
from codesign.tune.trial import Device, Trial, Winner
from codesign.tune.trial import Task as Stored
from codesign.tune.work import Task


class Journal:
    """The part of a store that is about one target on one device."""

    def __init__(self, store: Store, target: Target, fingerprint: Mapping[str, Any]) -> None:
        self.store, self.target = store, target
        self.device = Device(fingerprint)
        self.versions = {name: kernel_version(k) for name, k in target.by_name.items()}
        store.add_device(self.device)

    def stored(self, task: Task) -> Stored:
        """The task as the store has it."""
        return Stored(task.op, task.work, self.target.spec, task.operations)

    def recall(self, task: Task) -> dict[Choice, float]:
        """Seconds of every candidate measured with the present code, inf for those that failed."""
        found: dict[Choice, float] = {}
        for trial in self.store.trials(self.stored(task).key, self.device.key):
            if self.versions.get(trial.kernel) == trial.version:
                seconds = inf if trial.seconds is None else trial.seconds
                choice = (trial.kernel, trial.point)
                found[choice] = max(seconds, found.get(choice, 0.0))
        return found

    def keep(self, task: Task, choice: Choice, outcome: Outcome) -> None:
        """Store a trial; it is on disk when this returns."""
        stored = self.stored(task)
        self.store.add_task(stored)
        kernel, point = choice
        times: dict[str, Any] = {}
        if outcome.status == "ok":
            low, middle, high = spread(outcome.seconds)
            times = {"seconds": middle, "low": low, "high": high, "repeats": len(outcome.seconds)}
        self.store.add(
            Trial(
                stored.key,
                self.device.key,
                kernel,
                self.versions[kernel],
                point,
                outcome.status,
                message=outcome.message,
                **times,
            )
        )

    def settle(self, task: Task, choice: Choice, duel: Duel) -> None:
        """Make `choice`, which won `duel`, what compiling uses."""
        kernel, point = choice
        _, seconds, _ = spread(duel.first)
        self.store.add_winner(
            Winner(
                self.stored(task).key,
                self.device.key,
                kernel,
                self.versions[kernel],
                point,
                seconds,
                duel.ratio,
            )
        )

    def winner(self, task: Task) -> Choice | None:
        """What compiling uses for `task`, if anything was found."""
        won = self.store.winner(self.stored(task).key, self.device.key, self.versions)
        return None if won is None else (won.kernel, won.point)


class StoredRecords:
    """The winners of one target on one device, as placement asks for them; read once."""

    def __init__(self, store: Store, target: Target, fingerprint: Mapping[str, Any]) -> None:
        versions = {name: kernel_version(k) for name, k in target.by_name.items()}
        device = Device(fingerprint).key
        texts = {task.key: task.text for task in store.tasks() if task.target == target.spec}
        self._known = {
            texts[won.task]: Known(won.kernel, won.point, won.seconds * 1e3)
            for won in store.winners(device, versions)
            if won.task in texts
        }

    def best(self, work: str) -> Known | None:
        """The winner for work of this signature."""
        return self._known.get(work)


def spread(seconds: tuple[float, ...]) -> tuple[float, float, float]:
    """10th percentile, median and 90th percentile."""
    if len(seconds) < 2:
        return seconds[0], seconds[0], seconds[0]
    cuts = quantiles(seconds, n=10, method="inclusive")
    return cuts[0], cuts[4], cuts[8]
