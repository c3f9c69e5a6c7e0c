"""Tuning a placed program: measure candidates task by task, keep what was found, settle winners."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import median
from typing import Any

from codesign.mapping.target import Target
from codesign.tune.budget import Account, choose
from codesign.tune.duel import Duel
from codesign.tune.journal import Journal
from codesign.tune.learned import Learned
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool, Worker
from codesign.tune.remote import Tracker
from codesign.tune.result import Result, milliseconds, summary
from codesign.tune.search import Choice, Search
from codesign.tune.timing import Limits
from codesign.tune.work import Parcel, Task, parcel

Event = Mapping[str, Any]
Listen = Callable[[Event], None]
RETRAIN = 16  # trials between two trainings of the learned model
FINALISTS = 3
ROUNDS = 40  # of a duel


@dataclass(frozen=True)
class Settings:
    """How long to search, and on the devices of which `tracker` if not on this one.

    `trials` are counted in all, those of earlier runs included.
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
        self.accounts = [Account(Search(task, target, settings.seed)) for task in tasks]
        self.model = Learned(settings.seed)
        self.parcels: dict[str, Parcel] = {}
        self.duels: dict[str, Duel] = {}
        self.begun = time.monotonic()
        self.fresh = 0  # trials since the model was trained
        self.spent = 0

    def run(self) -> list[Result]:
        """Search until the budget is spent or Ctrl-C, then settle; everything found is kept."""
        self._recall()
        self._tell("start", tasks=[self._row(a) for a in self.accounts], recalled=self.spent)
        with Pool(self.target.spec, self.target.threads, tracker=self.settings.tracker) as pool:
            try:
                self._search(pool)
            except KeyboardInterrupt:
                self._tell("interrupted")
            self._settle(pool)
        results = [self._result(account) for account in self.accounts]
        self._tell("done", **summary(results))
        return results

    def _recall(self) -> None:
        """Take up what earlier runs measured of the same kernels on this device."""
        for account in self.accounts:
            for choice, seconds in self.journal.recall(account.search.task).items():
                account.search.done(choice, seconds)
                account.given += 1
                self.spent += 1
        self._train()

    def _search(self, pool: Pool) -> None:
        while True:
            for worker in pool.idle:
                if not self._over():
                    self._give(pool, worker)
            if not pool.busy:
                return
            pool.poll(0.5)

    def _over(self) -> bool:
        late = time.monotonic() - self.begun > self.settings.seconds
        return late or self.spent >= self.settings.trials

    def _give(self, pool: Pool, worker: Worker) -> None:
        """Hand the most promising candidate to an idle worker."""
        if self.fresh >= RETRAIN:
            self._train()
        account = choose(self.accounts)
        choice = account.search.next(self.model) if account else None
        if account is None or choice is None:
            return
        search = account.search
        account.given += 1
        self.spent += 1
        best = search.best[0]
        message = (
            "trial", search.task.work, *choice, best if isfinite(best) else None,
            self.settings.limits,
        )  # fmt: skip

        def reply(outcome: Outcome) -> None:
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
        before = account.search.best[0]
        account.search.done(choice, seconds)
        account.note(before, account.search.best[0])
        self.journal.keep(account.search.task, choice, outcome)
        self.fresh += 1
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

    def _settle(self, pool: Pool) -> None:
        """The fastest of each task against what it has now, one at a time on a machine at rest."""
        while pool.busy:
            pool.poll(0.5)
        for account in self.accounts:
            self._contest(pool, account)

    def _contest(self, pool: Pool, account: Account) -> None:
        search = account.search
        start = search.task.start
        for choice in search.ranked(FINALISTS):
            if choice == start:
                return
            found: list[Duel] = []
            while not pool.idle:
                pool.poll(0.5)

            def reply(answer: Any, found: list[Duel] = found) -> None:
                lost = isinstance(answer, Outcome)
                found.append(Duel(message=answer.message) if lost else answer)

            pool.give(
                pool.idle[0],
                self._parcel(search.task),
                ("duel", search.task.work, choice, start, ROUNDS),
                reply,
            )
            while not found:
                pool.poll(0.5)
            self._tell("duel", **self._row(account), kernel=choice[0], won=found[0].won)
            if found[0].won:
                self.duels[search.task.work] = found[0]
                self.journal.settle(search.task, choice, found[0], start)
                return

    def _parcel(self, task: Task) -> Parcel:
        if task.work not in self.parcels:
            self.parcels[task.work] = parcel(task, self.settings.seed)
        return self.parcels[task.work]

    def _result(self, account: Account) -> Result:
        search = account.search
        won = self.journal.winner(search.task)
        failures = sum(not isfinite(seconds) for seconds in search.tried.values())
        return Result(
            search.task,
            search.tried.get(search.task.start, inf),
            search.best[0],
            won or search.task.start,
            self.duels.get(search.task.work),
            len(search.tried),
            failures,
        )

    def _row(self, account: Account) -> dict[str, Any]:
        """A task as the display shows it."""
        search = account.search
        best, choice = search.best
        start = search.tried.get(search.task.start, inf)
        return {
            "work": search.task.work,
            "op": search.task.op,
            "layer": search.task.layers[0],
            "weight": account.weight,
            "flops": search.task.operations,
            "trials": len(search.tried),
            "candidates": len(search.candidates),
            "start_ms": milliseconds(start),
            "best_ms": milliseconds(best),
            "best_kernel": choice[0] if choice else None,
        }

    def _tell(self, what: str, **details: Any) -> None:
        spent = time.monotonic() - self.begun
        self.listen({"event": what, "seconds": round(spent, 3), "spent": self.spent, **details})
