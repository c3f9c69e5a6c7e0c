"""Sums that may saturate: every addition in its order, in accumulators of the datapath's width.

An element adds up its own products one after the other. When its tile of outputs is left, the sums
along axes that add are added from the first place on; what other axes bring is added where it
arrives. The first place continues what came down. Elements without a memory for sums send each one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.targets.spatial.simulate.plan import Plan, Range

Sums = NDArray[np.int64]
Parts = Mapping[str, Range]
Numbers = NDArray[np.int64]


@dataclass
class Adder:
    """Adds in two's complement numbers of `width` bits; `saturated` counts what did not fit."""

    width: int
    saturated: int = 0

    def add(self, one: Sums, other: Sums) -> Sums:
        """The sums, at the nearest number that fits."""
        exact = one + other
        top = np.int64(2 ** (self.width - 1) - 1)
        found: Sums = np.clip(exact, -top - 1, top)
        self.saturated += int((found != exact).sum())
        return found


@dataclass
class Ordered:
    """The array's additions on a plan whose output-free loops are `inner`."""

    plan: Plan
    inner: tuple[str, ...]
    adder: Adder
    waiting: dict[int, Sums] = field(default_factory=dict)

    @cached_property
    def keeps(self) -> bool:
        """Whether elements have a memory of their own for sums."""
        return self.plan.array < len(self.plan.levels) and self.plan.holds(
            "output", self.plan.array
        )

    @cached_property
    def level(self) -> int:
        """The level at whose tiles the elements work."""
        return self.plan.array if self.keeps else len(self.plan.levels)

    @cached_property
    def spread(self) -> list[tuple[str, str, int]]:
        """(axis, loop, count) of the places that add to one output, those with no adders first."""
        adds = {axis.name: axis.sums for axis in self.plan.machine.axes}
        found = [place for x in self.inner for place in self.plan.places(x, self.level)]
        return sorted(found, key=lambda place: adds[place[0]])

    @cached_property
    def numbers(self) -> dict[str, Numbers]:
        """Of each loop, the number of its instance at each place [places]."""
        counts = [count for _, _, count in self.spread]
        grid = np.indices(counts).reshape(len(counts), -1) if counts else np.zeros((0, 1), int)
        found = {x: np.zeros(grid.shape[1], np.int64) for x in self.inner}
        for loop in self.inner:
            for place in self.plan.places(loop, self.level):
                found[loop] = found[loop] * place[2] + grid[self.spread.index(place)]
        return found

    @cached_property
    def chains(self) -> int:
        """How many sums arrive for one output, after adding along axes."""
        adds = {axis.name: axis.sums for axis in self.plan.machine.axes}
        return prod(count for axis, _, count in self.spread if not adds[axis])

    def run(self, left: Sums, right: Sums, before: Sums, parts: Parts) -> Sums:
        """The sums of each place after left [both, inner, left] times right [both, right, inner].

        `before` are the sums that go on, [both, right, left], or those of each place.
        """
        found = before if before.ndim == 4 else self._begun(before)
        for which, valid in self._steps(parts):
            one = right[:, :, which].transpose(2, 0, 1)[..., None] * valid[:, None, None, None]
            found = self.adder.add(found, one * left[:, which].transpose(1, 0, 2)[:, :, None])
            if not self.keeps:
                found = self._begun(self.added(found))
        return found

    def added(self, sums: Sums) -> Sums:
        """What the sums of all places [places, ...] come to."""
        lines = sums.reshape(self.chains, -1, *sums.shape[1:])
        total: Sums | None = None
        for line in lines:
            mine = line[0]
            for other in line[1:]:
                mine = self.adder.add(mine, other)
            total = mine if total is None else self.adder.add(total, mine)
        assert total is not None
        return total

    def _begun(self, before: Sums) -> Sums:
        found = np.zeros((prod(n for _, _, n in self.spread), *before.shape), np.int64)
        found[0] = before
        return found

    def _steps(self, parts: Parts) -> Iterator[tuple[Numbers, Numbers]]:
        """One iteration of every place at a time: its number among all, and 1 if there is one."""
        plan = self.plan
        own = plan.own[self.level]
        for starts in self._tiles(parts):
            last = [x for x in plan.schedule.orders[-1] if x in self.inner]
            order = [*(x for x in self.inner if x not in last), *last] if self.keeps else []
            for picked in product(*(range(own[x]) for x in order)):
                mine = dict(zip(order, picked, strict=True))
                which = np.zeros((), np.int64)
                valid = np.ones((), np.int64)
                for x in self.inner:
                    low, high = parts[x]
                    at = starts[x] + self.numbers[x] * own[x] + mine.get(x, 0)
                    valid = valid * (at < high)
                    which = which * (high - low) + np.minimum(at, high - 1) - low
                yield np.atleast_1d(which), np.atleast_1d(valid)

    def _tiles(self, parts: Parts) -> Iterator[dict[str, int]]:
        """First iterations of the tiles that elements take up, in order."""
        plan = self.plan
        steps: list[list[tuple[str, int]]] = []
        for number, loop in plan.nest:
            if loop in self.inner and plan.shared <= number < self.level:
                size = parts[loop][1] - parts[loop][0]
                outer, width = plan.together[number][loop], plan.together[number + 1][loop]
                steps.append([(loop, at) for at in range(0, min(outer, size), width)])
        for picked in product(*steps):
            found = {x: parts[x][0] for x in self.inner}
            for loop, at in picked:
                found[loop] += at
            if all(found[x] < parts[x][1] for x in self.inner):
                yield found
