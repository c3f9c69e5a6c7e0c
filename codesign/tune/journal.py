"""What a run of the tuner reads from and writes to the store: trials, and the winners of duels."""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import quantiles
from typing import Any

from codesign.mapping.records import Known
from codesign.mapping.target import Target
from codesign.mapping.version import kernel_version
from codesign.tune.duel import Duel
from codesign.tune.naming import BARE
from codesign.tune.outcome import Outcome
from codesign.tune.point import print_point
from codesign.tune.search import Choice
from codesign.tune.sights import Sight
from codesign.tune.store import Store
from codesign.tune.trial import Device, Status, Trial, faster_than
from codesign.tune.trial import Task as Stored
from codesign.tune.work import Task


class Journal:
    """The part of a store that is about one target on one device.

    With `bare`, that of groups timed without the layouts around them, which nobody checked: they
    are tasks of their own, so that the tuner takes none of them for a trial.
    """

    def __init__(
        self, store: Store, target: Target, fingerprint: Mapping[str, Any], bare: bool = False
    ) -> None:
        self.store, self.target, self.bare = store, target, bare
        self.device = Device(fingerprint)
        self.versions = {name: kernel_version(k) for name, k in target.by_name.items()}
        self.seen = 0  # the last row that `news` told of
        self.own: set[str] = set()  # digests of what was stored here
        store.add_device(self.device)

    def stored(self, task: Task) -> Stored:
        """The task as the store has it."""
        text = f"{BARE}{task.work}" if self.bare else task.work
        return Stored(task.op, text, self.target.spec, task.operations)

    def recall(self, task: Task) -> dict[Choice, float]:
        """Seconds of every candidate measured with the present code, inf for those that failed.

        One whose worker was killed is tried again: the machine may have been short of memory.
        """
        found: dict[Choice, float] = {}
        for trial in self.store.trials(self.stored(task).key, self.device.key):
            current = self.versions.get(trial.kernel) == trial.version
            if current and trial.status != "killed":
                seconds = inf if trial.seconds is None else trial.seconds
                choice = (trial.kernel, trial.point)
                found[choice] = max(seconds, found.get(choice, 0.0))
        return found

    def keep_sight(self, task: Task, choice: Choice, told: str) -> None:
        """Keep what a fit sees of a candidate."""
        kernel, point = choice
        key, version = self.stored(task).key, self.versions[kernel]
        self.store.add_sight(Sight(key, kernel, version, print_point(point), told))

    def sights(self) -> list[Sight]:
        """What fits see of every candidate measured with the present code."""
        found = self.store.sights(self.target.spec, self.device.key)
        return [sight for sight in found if self.versions.get(sight.kernel) == sight.version]

    def news(self, tasks: Sequence[Task]) -> list[tuple[Task, Trial]]:
        """What came into the store since the last call, the first time all, but not from here.

        Trials of the present code and duels that were won, in the order of storing. One whose
        worker was killed is left out, to be tried again: the machine may have been short of memory.
        """
        keys = {self.stored(task).key: task for task in tasks}
        self.seen, found = self.store.news(self.seen, self.device.key, keys)
        return [
            (keys[trial.task], trial)
            for trial in found
            if self.versions.get(trial.kernel) == trial.version
            and trial.digest not in self.own
            and trial.status != "killed"
        ]

    def keep(self, task: Task, choice: Choice, outcome: Outcome) -> None:
        """Store a trial; it is on disk when this returns. Nothing is stored of what is none."""
        if outcome.status == "lost" or outcome.status == "unable":
            return
        stored = self.stored(task)
        self.store.add_task(stored)
        self._add(stored, choice, outcome.status, outcome.seconds, message=outcome.message)

    def settle(self, task: Task, choice: Choice, duel: Duel, over: Choice) -> None:
        """Keep that `choice` won `duel` over the incumbent `over`: see `winner`."""
        kernel, point = over
        beaten = faster_than(kernel, self.versions[kernel], point)
        self._add(self.stored(task), choice, "ok", duel.first, ratio=duel.ratio, message=beaten)

    def _add(
        self,
        stored: Stored,
        choice: Choice,
        status: Status,
        seconds: tuple[float, ...],
        ratio: float | None = None,
        message: str = "",
    ) -> None:
        kernel, point = choice
        times: dict[str, Any] = {}
        if status == "ok":
            low, middle, high = spread(seconds)
            times = {"seconds": middle, "low": low, "high": high, "repeats": len(seconds)}
        trial = Trial(
            stored.key,
            self.device.key,
            kernel,
            self.versions[kernel],
            point,
            status,
            **times,
            ratio=ratio,
            message=message,
        )
        self.own.add(trial.digest)
        self.store.add(trial)


def winner(trials: Sequence[Trial]) -> Trial | None:
    """Of the trials of one task on one device the one to use: the best of those that won a duel.

    A ratio says something beside another only if both go back to the same incumbent; where an
    incumbent has itself won a duel before, as in a later run, the ratios multiply. What goes back
    to one incumbent is compared by that product, which no change in the machine's speed between two
    runs can spoil; what goes back to different ones, or to one that is not known, by the measured
    time. A point that ever gave wrong numbers does not count.
    """
    wrong = {_name(trial) for trial in trials if trial.status == "wrong"}
    won = [trial for trial in trials if trial.ratio is not None and _name(trial) not in wrong]
    names = {_name(trial) for trial in won}
    gone_back: dict[str, tuple[str, float]] = {}  # by winner: its first incumbent, and the product
    best: dict[str, tuple[float, Trial]] = {}
    # a merged store may hold a winner before the incumbent that it beat
    for number, trial in enumerate(sorted(won, key=lambda trial: trial.message in names)):
        origin, product = gone_back.get(trial.message, (trial.message or str(number), 1.0))
        product *= trial.ratio or 1.0
        gone_back[_name(trial)] = origin, product
        if origin not in best or product < best[origin][0]:
            best[origin] = product, trial
    found = [trial for _, trial in best.values()]
    return min(found, key=lambda trial: trial.seconds or inf, default=None)


def _name(trial: Trial) -> str:
    return faster_than(trial.kernel, trial.version, trial.point)


class StoredRecords:
    """The winners of one target on one device, as placement asks for them; read once."""

    def __init__(self, store: Store, target: Target, fingerprint: Mapping[str, Any]) -> None:
        texts = {task.key: task.text for task in store.tasks() if task.target == target.spec}
        trials: dict[str, list[Trial]] = {}
        for trial in store.trials(device=Device(fingerprint).key) if texts else ():
            if trial.task in texts and _current(trial, target):
                trials.setdefault(texts[trial.task], []).append(trial)
        self._known: dict[str, Known] = {}
        for work, found in trials.items():
            won = winner(found)
            if won is not None and won.seconds is not None:
                self._known[work] = Known(won.kernel, won.point, won.seconds * 1e3)

    def __len__(self) -> int:
        return len(self._known)

    def best(self, work: str) -> Known | None:
        """The winner for work of this signature."""
        return self._known.get(work)


def _current(trial: Trial, target: Target) -> bool:
    """Whether the kernel still is what was measured."""
    kernel = target.by_name.get(trial.kernel)
    return kernel is not None and kernel_version(kernel) == trial.version


def spread(seconds: tuple[float, ...]) -> tuple[float, float, float]:
    """10th percentile, median and 90th percentile, in order whatever interpolating rounds."""
    if len(seconds) < 2:
        return seconds[0], seconds[0], seconds[0]
    cuts = quantiles(seconds, n=10, method="inclusive")
    return min(cuts[0], cuts[4]), cuts[4], max(cuts[4], cuts[8])
