"""The integer programme: one choice an item, the least sum of one number under a bound on another.

A multiple-choice knapsack (Sinha and Zoltners, 1979) with ties: items that read one tensor must
choose alike where they store it. Solved exactly by branch and cut (HiGHS, through scipy).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from codesign.errors import CodesignError

Goal = Literal["cost", "error"]
SLACK = 1e-9  # of the bound: rounding of the sums
TIGHTER = 1e-6  # of the bound, where the solver's tolerance broke it
SECONDS = 120.0  # for one solution


@dataclass(frozen=True)
class Option:
    """One choice: `key` are its widths, which ties compare part by part; no number is negative."""

    key: tuple[int, ...]
    cost: float
    error: float


@dataclass(frozen=True)
class Tie:
    """The `items` whose chosen keys must agree in `part`."""

    items: tuple[int, ...]
    part: int


@dataclass(frozen=True)
class Programme:
    """Options by item, and ties between items."""

    items: tuple[tuple[Option, ...], ...]
    ties: tuple[Tie, ...] = ()

    def total(self, chosen: Sequence[int], what: Goal) -> float:
        """The sum of `what` over the chosen options."""
        options = (item[k] for item, k in zip(self.items, chosen, strict=True))
        return float(sum(getattr(option, what) for option in options))

    def within(self, what: Goal, most: float) -> "Programme":
        """This programme without options whose `what` alone exceeds `most`."""
        kept = tuple(tuple(o for o in item if getattr(o, what) <= most) for item in self.items)
        return replace(self, items=kept)

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of each item's first variable, and at last how many there are."""
        found: np.ndarray = np.cumsum([0, *(len(item) for item in self.items)])
        return found

    def numbers(self, what: Goal) -> np.ndarray:
        """`what` of every variable."""
        return np.array([getattr(o, what) for item in self.items for o in item], np.float64)


def solve(programme: Programme, minimise: Goal, bound: float = inf) -> tuple[int, ...] | None:
    """The option of each item, so that the sum of `minimise` is least and the other's <= `bound`.

    None if no choice meets the bound. The options chosen count in `programme` as it was given.
    CodesignError if no optimum is proven within `SECONDS`.
    """
    other: Goal = "error" if minimise == "cost" else "cost"
    small = programme.within(other, bound)
    if bound < inf and minimise == "error":
        small = _bottleneck(small, bound)
    found = _milp(small, minimise, bound)
    if found is None:
        return None
    keys = [item[k].key for item, k in zip(small.items, found, strict=True)]
    return tuple(
        next(k for k, option in enumerate(item) if option.key == key)
        for item, key in zip(programme.items, keys, strict=True)
    )


def _bottleneck(programme: Programme, bound: float) -> Programme:
    """`programme` without options that are in no optimum, so that its errors are of one magnitude.

    Where t is the least error at which options of at most t meet the bound on the cost, the best
    sum lies between t and t times the number of items.
    """
    errors = np.unique(programme.numbers("error"))
    low, high = 0, len(errors) - 1
    while low < high:
        middle = (low + high) // 2
        if _affordable(programme.within("error", errors[middle]), bound):
            high = middle
        else:
            low = middle + 1
    most = errors[low] * len(programme.items) if errors.size else 0.0
    return programme.within("error", most)


def _affordable(programme: Programme, bound: float) -> bool:
    """True if some choice costs at most `bound`."""
    cheapest = _milp(programme, "cost", inf)
    return cheapest is not None and programme.total(cheapest, "cost") <= bound


def _milp(programme: Programme, minimise: Goal, bound: float) -> tuple[int, ...] | None:
    """The best choice; a second, tighter run where rounding broke the bound."""
    if not all(programme.items):
        return None
    other: Goal = "error" if minimise == "cost" else "cost"
    for tighter in (0.0, TIGHTER):
        found = _run(programme, minimise, bound * (1 - tighter))
        if found is None or programme.total(found, other) <= bound * (1 + SLACK):
            break
    return found


def _run(programme: Programme, minimise: Goal, bound: float) -> tuple[int, ...] | None:
    count = int(programme.starts[-1])
    objective = programme.numbers(minimise)
    least = [min(getattr(o, minimise) for o in item) for item in programme.items]
    scale = sum(least) or float(objective.max(initial=0.0)) or 1.0
    constraints = _choices(programme)
    groups = constraints[0].A.shape[1] - count
    if bound < inf:
        row = np.pad(programme.numbers("error" if minimise == "cost" else "cost"), (0, groups))
        unit = bound if bound > 0 else 1.0
        constraints.append(LinearConstraint(row[None] / unit, -inf, bound / unit))
    result = milp(
        np.pad(objective / scale * 1e3, (0, groups)),
        integrality=np.ones(count + groups),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0, "time_limit": SECONDS},
    )
    if result.status == 2:
        return None
    if result.x is None or result.status != 0:
        raise CodesignError(f"no optimal choice was found in {SECONDS:g} s: {result.message}")
    x, starts = result.x[:count], programme.starts
    return tuple(int(x[a:b].argmax()) for a, b in pairwise(starts))


def _choices(programme: Programme) -> list[LinearConstraint]:
    """One option an item; of tied items, all or none choose a value of the tied part."""
    count = int(programme.starts[-1])
    entries: list[tuple[int, int, float]] = []
    for i, item in enumerate(programme.items):
        entries += [(i, int(programme.starts[i]) + k, 1.0) for k in range(len(item))]
    rows, column = len(programme.items), count
    ones = rows
    for tie in programme.ties:
        values = sorted({o.key[tie.part] for i in tie.items for o in programme.items[i]})
        for value in values:
            for i in tie.items:
                first = int(programme.starts[i])
                same = (k for k, o in enumerate(programme.items[i]) if o.key[tie.part] == value)
                entries += [(rows, first + k, 1.0) for k in same]
                entries.append((rows, column, -1.0))
                rows += 1
            column += 1
    where, at, what = zip(*entries, strict=True)
    matrix = coo_array((what, (where, at)), shape=(rows, column)).tocsr()
    sides = np.where(np.arange(rows) < ones, 1.0, 0.0)
    return [LinearConstraint(matrix, sides, sides)]
