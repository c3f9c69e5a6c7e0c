"""The search for one task's schedule: what was tried, what to try next."""

import random
from collections.abc import Sequence
from math import inf
from statistics import median_high

from codesign.ir.program import Point
from codesign.mapping.target import Target
from codesign.tune.features import Features, candidate_features, task_features
from codesign.tune.learned import Learned
from codesign.tune.work import Task

Choice = tuple[str, Point]
EXPLORE = 0.2  # the share of candidates that are drawn at random
BATCH = 8


class Search:
    """Candidates of one task, and the seconds of those measured, inf where that failed.

    `incumbent` is what compiling uses. What earlier runs measured of it is forgotten as soon as it
    is measured anew (`renewed`), which it is before anything else.
    """

    def __init__(self, task: Task, target: Target, seed: int) -> None:
        self.task = task
        self.target = target
        self.random = random.Random(f"{seed} {task.work}")
        self.candidates = list(dict.fromkeys([task.start, *task.candidates(target)]))
        self.incumbent = task.start
        self.renewed = False
        self.tried: dict[Choice, float] = {}
        self.times: dict[Choice, list[float]] = {}
        self.waiting: list[Choice] = []
        self.running: set[Choice] = set()
        self._fixed = task_features(task.group)

    @property
    def untried(self) -> list[Choice]:
        """Candidates that were neither measured nor given out."""
        return [choice for choice in self.candidates if self._untried(choice)]

    def _untried(self, choice: Choice) -> bool:
        return choice not in self.tried and choice not in self.running

    @property
    def open(self) -> bool:
        """Whether there is anything left to measure."""
        return bool(self.stale or self.waiting or self.untried)

    @property
    def stale(self) -> bool:
        """Whether only earlier runs measured the incumbent."""
        known = self.incumbent in self.tried and self.incumbent not in self.running
        return known and not self.renewed

    @property
    def best(self) -> tuple[float, Choice | None]:
        """Least seconds so far, and the candidate that took them."""
        choice = min(self.tried, key=lambda c: self.tried[c], default=None)
        if choice is None or self.tried[choice] == inf:
            return inf, None
        return self.tried[choice], choice

    def challengers(self, count: int) -> list[Choice]:
        """The `count` fastest candidates, as far as they are faster than the incumbent."""
        bar = self.tried.get(self.incumbent, inf)
        faster = [choice for choice, seconds in self.tried.items() if seconds < bar]
        return sorted(faster, key=lambda c: self.tried[c])[:count]

    def features(self, choice: Choice) -> Features:
        """What the learned model sees of a candidate."""
        return {**self._fixed, **candidate_features(*choice)}

    def next(self, model: Learned) -> Choice | None:
        """A candidate to measure, None if all were."""
        if self.stale:
            self.running.add(self.incumbent)
            return self.incumbent
        self.waiting = [choice for choice in self.waiting if self._untried(choice)]
        if not self.waiting:
            self.waiting = self._propose(model)
        if not self.waiting:
            return None
        choice = self.waiting.pop(0)
        self.running.add(choice)
        return choice

    def done(self, choice: Choice, seconds: float, now: bool = True) -> None:
        """Note that `choice` took `seconds` (inf: it failed), `now` or in an earlier run.

        Of several times the median counts, the slower of two; a failure counts for good.
        """
        self.running.discard(choice)
        if now and choice == self.incumbent and not self.renewed:
            self.renewed = True
            self.times.pop(choice, None)
        times = self.times.setdefault(choice, [])
        times.append(seconds)
        self.tried[choice] = inf if inf in times else median_high(times)

    def _propose(self, model: Learned) -> list[Choice]:
        """Start and each kernel's default first, then what the model likes, some at random."""
        left = self.untried
        defaults = self._shuffled(self._defaults())
        firsts = [c for c in (self.incumbent, self.task.start, *defaults) if c in left]
        if firsts:
            return list(dict.fromkeys(firsts))
        if len(left) <= BATCH:
            return self._shuffled(left)
        chosen: list[Choice] = []
        if model.ready:
            scores = model.predict([self.features(c) for c in left])
            order = scores.argsort(kind="stable")
            chosen = [left[i] for i in order[: round(BATCH * (1 - EXPLORE))]]
        rest = [choice for choice in left if choice not in set(chosen)]
        return self._shuffled(chosen + self.random.sample(rest, BATCH - len(chosen)))

    def _shuffled(self, choices: Sequence[Choice]) -> list[Choice]:
        """In another order in each process: two at one database measure different things."""
        return self.random.sample(choices, len(choices))

    def _defaults(self) -> Sequence[Choice]:
        group = self.task.group
        kernels = dict.fromkeys(kernel for kernel, _ in self.candidates)
        return [(name, self.target.by_name[name].default(group)) for name in kernels]
