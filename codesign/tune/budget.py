"""Which task to spend the next trial on: where most time is likely to be won.

As in Ansor's task scheduler (Zheng et al., OSDI 2020, section 6), the time that a task takes in the
network times the improvement to expect from it, which the last rounds tell.
"""

from math import isfinite

from codesign.tune.search import Search

FIRST_HOPE = 0.5
MEMORY = 0.85  # how much of the expectation stays after a trial that improved nothing


class Account:
    """What one task took so far, and how much is hoped for."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.weight = len(search.task.layers)
        self.hope = FIRST_HOPE
        self.given = 0

    def note(self, before: float, after: float) -> None:
        """A trial brought the best from `before` to `after` seconds."""
        gain = 1.0 if not isfinite(before) else max(0.0, 1.0 - after / before)
        self.hope = MEMORY * self.hope + (1 - MEMORY) * min(1.0, 4 * gain)

    @property
    def promise(self) -> float:
        """Seconds of the network that a trial may win; infinite while nothing was measured."""
        best, _ = self.search.best
        if not isfinite(best):
            return float("inf") if self.given < 3 else 0.0
        return self.weight * best * self.hope


def choose(accounts: list[Account]) -> Account | None:
    """The account with the largest promise that has candidates left."""
    open_ones = [a for a in accounts if a.search.waiting or a.search.untried]
    return max(open_ones, key=lambda a: a.promise, default=None)
