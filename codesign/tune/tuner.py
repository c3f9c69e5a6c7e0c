"""Tuning a placed program: measure candidates task by task, keep what was found, settle winners."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import median
from typing import Any

from codesign.errors import TuningError
from codesign.mapping.target import Target
from codesign.tune.budget import Account, choose
from codesign.tune.duel import Duel
from codesign.tune.interrupt import Interrupt
from codesign.tune.journal import Journal
from codesign.tune.learned import Learned
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool, Worker
from codesign.tune.remote import Tracker
from codesign.tune.result import Result, milliseconds, result, summary
from codesign.tune.search import Choice, Search
from codesign.tune.settle import Settling, deadline, told
from codesign.tune.timing import Limits
from codesign.tune.work import Parcel, Task, parcel

Event = Mapping[str, Any]
Listen = Callable[[Event], None]
RETRAIN = 16  # trials between two trainings of the learned model
INTERRUPTED_SECONDS = 30.0  # that settling takes at most after Ctrl-C


@dataclass(frozen=True)
class Settings:
    """How long a run takes, settling included, and on which devices if not on this one.

    `trials` are counted in all, those of earlier runs included. Runs with different seeds at one
    database share the work; with equal ones they are likelier to measure the same.
    """

    trials: int = 1000
    seconds: float = inf
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    tracker: Tracker | None = None


class Tuner:
    """One run of the tuner. `listen` hears of everything that happens."""

    def __init__(
        self,
        tasks: Sequence[Task],
        target: Target,
        journal: Journal,
        settings: Settings,
        listen: Listen,
    ) -> None:
        self.target, self.journal, self.settings, self.listen = target, journal, settings, listen
        self.tasks = tasks
        ranks = random.Random(settings.seed)
        searches = [Search(task, target, settings.seed) for task in tasks]
        self.accounts = [Account(search, ranks.random()) for search in searches]
        self.by_work = {task.work: a for task, a in zip(tasks, self.accounts, strict=True)}
        self.model = Learned(settings.seed)
        self.parcels: dict[str, Parcel] = {}
        self.settling = Settling(self.accounts, journal, self._parcel)
        self.interrupt = Interrupt()
        self.reasons: Counter[str] = Counter()  # why trials of this run failed
        self.tuned: set[str] = set()  # work that had something settled before this run
        self.fine = 0  # trials of this run that did not fail
        self.begun = time.monotonic()
        self.fresh = 0  # trials since the model was trained
        self.spent = 0

    def run(self) -> list[Result]:
        """Search until the budget is spent or Ctrl-C, then settle; everything found is kept.

        A second Ctrl-C ends it without settling.
        """
        self._learn_of_others(now=False)
        self._train()
        self._tell("start", tasks=[self._row(a) for a in self.accounts], recalled=self.spent)
        unsettled = 0
        with self.interrupt:
            try:
                with Pool(*self._machine(), tracker=self.settings.tracker) as pool:
                    self._search(pool)
                    unsettled = self._settle(pool)
            except KeyboardInterrupt:
                self.interrupt.asked = True
                unsettled = len(self.settling.contests())
                self._tell("stopped")
        results = [result(account) for account in self.accounts]
        ended = {
            "interrupted": self.interrupt.asked,
            "unsettled": unsettled,
            "tuned": len(self.tuned),
        }
        self._tell("done", **summary(results), **ended)
        return results

    def refuse_failures(self) -> None:
        """TuningError if there were trials in this run and every one failed: the usual reason."""
        count = self.reasons.total()
        if self.fine or not count:
            return
        why, times = self.reasons.most_common(1)[0]
        raise TuningError(
            f"all {count} trials of this run failed, {times} of them because: {why}; "
            "nothing was found, and compiling uses what it used before"
        )

    def _machine(self) -> tuple[str, int]:
        return self.target.spec, self.target.threads

    def _learn_of_others(self, now: bool = True) -> None:
        """Take up what the store has got since: of earlier runs first, then of other processes."""
        for task, trial in self.journal.news(self.tasks):
            account, choice = self.by_work[task.work], (trial.kernel, trial.point)
            if trial.ratio is not None:
                if choice in account.search.candidates:
                    account.search.incumbent = choice
                    self.tuned.add(task.work)
                continue
            account.search.done(choice, inf if trial.seconds is None else trial.seconds, now)
            account.given += 1
            account.trials += 1
            self.spent += 1
            self.fresh += now

    def _search(self, pool: Pool) -> None:
        while not self.interrupt.asked:
            for worker in pool.idle:
                if not self._over():
                    self._give(pool, worker)
            if not pool.busy:
                return
            pool.poll(0.2)
        self._tell("interrupted")

    def _over(self) -> bool:
        """Whether it is time to settle."""
        if self.interrupt.asked or self.spent >= self.settings.trials:
            return True
        if not isfinite(self.settings.seconds):
            return False
        left = self.begun + self.settings.seconds - time.monotonic()
        return left <= self.settling.reserve(self.settings.seconds)

    def _give(self, pool: Pool, worker: Worker) -> None:
        """Hand the most promising candidate that nobody measured to an idle worker."""
        self._learn_of_others()
        if self.fresh >= RETRAIN:
            self._train()
        account = choose(self.accounts)
        choice = account.search.next(self.model) if account else None
        if account is None or choice is None:
            return
        search = account.search
        account.given += 1
        self.spent += 1
        best, begun = search.best[0], time.monotonic()
        message = (
            "trial", search.task.work, *choice, best if isfinite(best) else None,
            self.settings.limits,
        )  # fmt: skip

        def reply(outcome: Outcome) -> None:
            account.walls.append(time.monotonic() - begun)
            self._note(account, choice, outcome)

        pool.give(worker, self._parcel(search.task), message, reply)

    def _note(self, account: Account, choice: Choice, outcome: Outcome) -> None:
        """Keep what came of a trial."""
        if outcome.status == "lost":
            account.search.running.discard(choice)
            self.spent -= 1
            self._tell("lost", **self._row(account), message=outcome.message)
            return
        seconds = median(outcome.seconds) if outcome.status == "ok" else inf
        self.journal.keep(account.search.task, choice, outcome)
        before = account.search.best[0]
        account.search.done(choice, seconds)
        account.note(before, account.search.best[0])
        account.trials += 1
        self.fresh += 1
        if outcome.status == "ok":
            self.fine += 1
        else:
            self.reasons[outcome.message or outcome.status] += 1
        self._tell(
            "trial",
            **self._row(account),
            kernel=choice[0],
            point=dict(choice[1]),
            status=outcome.status,
            ms=milliseconds(seconds),
            message=outcome.message,
        )

    def _train(self) -> None:
        rows, seconds, work = [], [], []
        for account in self.accounts:
            search = account.search
            for choice, took in search.tried.items():
                if isfinite(took):
                    rows.append(search.features(choice))
                    seconds.append(took)
                    work.append(search.task.operations)
        self.model.train(rows, seconds, work)
        self.fresh = 0

    def _settle(self, pool: Pool) -> int:
        """Duels in the time that is left; how many tasks had none for want of it."""
        until = deadline(self.begun, self.settings.seconds)
        if self.interrupt.asked:
            until = min(until, deadline(time.monotonic(), INTERRUPTED_SECONDS))
        self._tell("settling", contests=len(self.settling.contests()))

        def hear(account: Account, choice: Choice, duel: Duel) -> None:
            point = dict(choice[1])
            self._tell("duel", **self._row(account), kernel=choice[0], point=point, **told(duel))

        return self.settling.run(pool, until, hear)

    def _parcel(self, task: Task) -> Parcel:
        if task.work not in self.parcels:
            self.parcels[task.work] = parcel(task, self.settings.seed)
        return self.parcels[task.work]

    def _row(self, account: Account) -> dict[str, Any]:
        """A task as the display shows it."""
        row = result(account).json()
        row["layer"] = row.pop("layers")[0]
        row["settled_kernel"], _ = row.pop("kernel"), row.pop("point")
        return {**row, "candidates": len(account.search.candidates)}

    def _tell(self, what: str, **details: Any) -> None:
        spent = time.monotonic() - self.begun
        self.listen({"event": what, "seconds": round(spent, 3), "spent": self.spent, **details})
