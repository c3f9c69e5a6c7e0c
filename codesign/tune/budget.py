"""Which task to spend the next trial on: where most time is likely to be won.

As in Ansor's task scheduler (Zheng et al., OSDI 2020, section 6), the time that a task takes in the
network times the improvement to expect from it, which the last rounds tell.
"""

from math import inf, isfinite

from codesign.tune.duel import Duel
from codesign.tune.search import Search

FIRST_HOPE = 0.5
MEMORY = 0.85  # how much of the expectation stays after a trial that improved nothing


class Account:
    """What one task took so far, and how much is hoped for; of equal promises `rank` decides."""

    def __init__(self, search: Search, rank: float = 0.0) -> None:
        self.search = search
        self.rank = rank
        self.weight = len(search.task.layers)
        self.hope = FIRST_HOPE
        self.given = 0
        self.trials = 0
        self.walls: list[float] = []  # seconds that trials took in this run, building included
        self.duels: list[Duel] = []

    def note(self, before: float, after: float) -> None:
        """A trial brought the best from `before` to `after` seconds."""
        gain = 1.0 if not isfinite(before) else max(0.0, 1.0 - after / before)
        self.hope = MEMORY * self.hope + (1 - MEMORY) * min(1.0, 4 * gain)

    @property
    def promise(self) -> float:
        """Seconds of the network that a trial may win; infinite while nothing was measured."""
        if self.search.stale:
            return inf
        best, _ = self.search.best
        if not isfinite(best):
            return inf if self.given < 3 else 0.0
        return self.weight * best * self.hope

    @property
    def gain(self) -> float:
        """Seconds of the network that the best trial promises over the incumbent, unconfirmed."""
        known = self.search.tried.get(self.search.incumbent, inf)
        best = self.search.best[0]
        if not isfinite(best):
            return 0.0
        return self.weight * (known - best)


def choose(accounts: list[Account]) -> Account | None:
    """The account with the largest promise that has candidates left."""
    open_ones = [a for a in accounts if a.search.open]
    return max(open_ones, key=lambda a: (a.promise, a.rank), default=None)
