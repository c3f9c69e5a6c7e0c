"""Settling: the fastest trials of each task in duels with what compiling uses now.

A trial is measured once, among other work, so the fastest of many is fast partly by luck. What is
to be used has to win interleaved runs on a machine at rest, most promising tasks first, as long as
there is time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite
from statistics import fmean
from typing import Any

from codesign.tune.budget import Account
from codesign.tune.duel import Duel
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool
from codesign.tune.search import Choice
from codesign.tune.work import Parcel, Task

FINALISTS = 3
ROUNDS = 40  # of a duel
USUAL_SECONDS = 1.0  # to build and check a candidate where none was built yet
SHARE = 0.5  # of the time that settling takes at most
Told = Callable[[Account, Choice, Duel], None]


class Settling:
    """The duels of a run; `hear` is told of each."""

    def __init__(
        self, accounts: Sequence[Account], journal: Journal, parcel: Callable[[Task], Parcel]
    ) -> None:
        self.accounts, self.journal, self.parcel = accounts, journal, parcel

    def reserve(self, seconds: float) -> float:
        """How much of the `seconds` of a run to leave for the duels that are to be expected."""
        needed = sum(self.price(a) for a in self.accounts if a.search.challengers(1))
        return min(needed, SHARE * seconds)

    def price(self, account: Account) -> float:
        """Seconds that a duel of this task is expected to take."""
        walls = account.walls or [w for a in self.accounts for w in a.walls] or [USUAL_SECONDS]
        known = account.search.tried.get(account.search.incumbent, 0.0)
        runs = sum(s for s in (known, account.search.best[0]) if isfinite(s))
        return 2 * fmean(walls) + ROUNDS * runs

    def contests(self) -> list[Account]:
        """The tasks with a trial faster than the incumbent and no duel yet, the best hope first."""
        found = [a for a in self.accounts if a.search.challengers(1) and not a.duels]
        return sorted(found, key=lambda a: a.gain, reverse=True)

    def run(self, pool: Pool, until: float, hear: Told) -> int:
        """Fight duels until the clock `until`; how many tasks had no duel for want of time.

        First the fastest trial of each task; then, where it lost, the next.
        """
        while pool.measuring and time.monotonic() < until:
            pool.poll(0.2)
        contests = self.contests()
        unsettled = {account.search.task.work for account in contests}
        finalists = {a.search.task.work: a.search.challengers(FINALISTS) for a in contests}
        for place in range(FINALISTS):
            for account in contests:
                work = account.search.task.work
                lost = not any(duel.won for duel in account.duels)
                fits = time.monotonic() + self.price(account) <= until
                if lost and fits and place < len(finalists[work]) and at_rest(pool, until):
                    unsettled.discard(work)
                    self._contest(pool, account, finalists[work][place], hear)
        return len(unsettled)

    def _contest(self, pool: Pool, account: Account, choice: Choice, hear: Told) -> None:
        search = account.search
        duel = self._fight(pool, search.task, choice, search.incumbent)
        account.duels.append(duel)
        if duel.won:
            self.journal.settle(search.task, choice, duel, search.incumbent)
            search.incumbent = choice
        hear(account, choice, duel)

    def _fight(self, pool: Pool, task: Task, first: Choice, second: Choice) -> Duel:
        found: list[Duel] = []

        def reply(answer: Any) -> None:
            lost = isinstance(answer, Outcome)
            found.append(Duel(message=answer.message) if lost else answer)

        message = ("duel", task.work, first, second, ROUNDS)
        pool.give(pool.idle[0], self.parcel(task), message, reply)
        while not found or not pool.idle:
            pool.poll(0.2)
        return found[0]


def at_rest(pool: Pool, until: float) -> bool:
    """Wait until no worker does anything, but not beyond the clock `until`; whether it is so."""
    while pool.busy and time.monotonic() < until:
        pool.poll(0.2)
    return not pool.busy


def told(duel: Duel) -> Mapping[str, Any]:
    """A duel as an event: medians of both in ms, and how sure the winner is."""
    fought = bool(duel.first)
    return {
        "won": duel.won,
        "ms": duel.seconds * 1e3 if fought else None,
        "against_ms": duel.against * 1e3 if fought else None,
        "ratio": duel.ratio if fought else None,
        "chance": duel.chance if fought else None,
        "rounds": len(duel.first),
        "message": duel.message,
    }


def deadline(begun: float, seconds: float) -> float:
    """The clock when a run of `seconds` that began at the clock `begun` has to be over."""
    return begun + seconds if isfinite(seconds) else inf
