"""The search for one task's schedule: what was tried, what to try next."""

import random
from collections.abc import Sequence
from math import inf

from codesign.ir.program import Point
from codesign.mapping.target import Target
from codesign.tune.features import Features, candidate_features, task_features
from codesign.tune.learned import Learned
from codesign.tune.work import Task

Choice = tuple[str, Point]
EXPLORE = 0.2  # the share of candidates that are drawn at random
BATCH = 8


class Search:
    """Candidates of one task, and the seconds of those measured, inf where that failed."""

    def __init__(self, task: Task, target: Target, seed: int) -> None:
        self.task = task
        self.target = target
        self.random = random.Random(f"{seed} {task.work}")
        self.candidates = list(dict.fromkeys([task.start, *task.candidates(target)]))
        self.tried: dict[Choice, float] = {}
        self.waiting: list[Choice] = []
        self.running: set[Choice] = set()
        self._fixed = task_features(task.group)

    @property
    def untried(self) -> list[Choice]:
        """Candidates that were neither measured nor given out."""
        known = self.tried.keys() | self.running
        return [choice for choice in self.candidates if choice not in known]

    @property
    def best(self) -> tuple[float, Choice | None]:
        """Least seconds so far, and the candidate that took them."""
        choice = min(self.tried, key=lambda c: self.tried[c], default=None)
        if choice is None or self.tried[choice] == inf:
            return inf, None
        return self.tried[choice], choice

    def ranked(self, count: int) -> list[Choice]:
        """The `count` fastest candidates."""
        fine = [choice for choice, seconds in self.tried.items() if seconds < inf]
        return sorted(fine, key=lambda c: self.tried[c])[:count]

    def features(self, choice: Choice) -> Features:
        """What the learned model sees of a candidate."""
        return {**self._fixed, **candidate_features(*choice)}

    def next(self, model: Learned) -> Choice | None:
        """A candidate to measure, None if all were."""
        if not self.waiting:
            self.waiting = self._propose(model)
        while self.waiting:
            choice = self.waiting.pop(0)
            if choice not in self.tried and choice not in self.running:
                self.running.add(choice)
                return choice
        return None

    def done(self, choice: Choice, seconds: float) -> None:
        """Note that `choice` took `seconds` (inf: it failed)."""
        self.running.discard(choice)
        self.tried[choice] = seconds

    def _propose(self, model: Learned) -> list[Choice]:
        """Start and each kernel's default first, then what the model likes, some at random."""
        left = self.untried
        firsts = [c for c in (self.task.start, *self._defaults()) if c in left]
        if firsts:
            return list(dict.fromkeys(firsts))
        if len(left) <= BATCH:
            return left
        chosen: list[Choice] = []
        if model.ready:
            scores = model.predict([self.features(c) for c in left])
            order = scores.argsort(kind="stable")
            chosen = [left[i] for i in order[: round(BATCH * (1 - EXPLORE))]]
        rest = [choice for choice in left if choice not in set(chosen)]
        return chosen + self.random.sample(rest, BATCH - len(chosen))

    def _defaults(self) -> Sequence[Choice]:
        group = self.task.group
        kernels = dict.fromkeys(kernel for kernel, _ in self.candidates)
        return [(name, self.target.by_name[name].default(group)) for name in kernels]
