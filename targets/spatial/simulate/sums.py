"""Sums of outputs in the memories that there is one of: kept, sent, taken up again."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.errors import RefusedError
from codesign.targets.spatial.simulate.events import Tally
from codesign.targets.spatial.simulate.inner import Exchange
from codesign.targets.spatial.simulate.plan import Pair, Plan, Ranges
from codesign.targets.spatial.simulate.window import Grid, region, shape_of

Sums = NDArray[np.int64]


@dataclass
class Held:
    """Sums of a tile in a memory, and the indices of its outputs along each axis."""

    indices: tuple[Grid, ...]
    sums: Sums


@dataclass
class Outputs:
    """The sums by level; `whole` are those of the outermost memory.

    `begun` says by pair of levels over how many instances of the outer one each output's sums have
    begun: what begins does so at zero and is not read, unless the memory holds where it begins.
    """

    plan: Plan
    whole: Sums
    exchange: Exchange
    tally: Tally
    held: dict[int, Held] = field(default_factory=dict)
    begun: dict[Pair, NDArray[np.int32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.events = self.exchange.events
        indices = tuple(np.arange(size) for size in self.whole.shape)
        self.held[0] = Held(indices, self.whole)
        self.begun = {
            pair: np.zeros(self.whole.shape, np.int32)
            for pair in self.tally.amounts
            if pair.operand == "output"
        }
        self.holders = [n for n in self.plan.holders("output") if n <= self.plan.shared]

    def move(self, ranges: tuple[Ranges, ...]) -> tuple[Grid, ...]:
        """Send what is left and take up what comes next; the innermost tile's indices."""
        pairs = list(zip(self.holders[:-1], self.holders[1:], strict=True))
        turns = [p for p in pairs if self.events.fresh("output", p[1], ranges)]
        for outer, level in reversed(turns):
            self._send(outer, level)
        for outer, level in turns:
            self._fetch(outer, level, self.indices(ranges[level]))
        return self.indices(ranges[-1])

    def finish(self) -> None:
        """Send what is left in every memory."""
        for outer, level in reversed(list(zip(self.holders[:-1], self.holders[1:], strict=True))):
            self._send(outer, level)

    def tile(self, indices: tuple[Grid, ...]) -> Sums:
        """The sums of some outputs in the innermost of these memories; itself if it holds these."""
        held = self.held[self.holders[-1]]
        if self.holders[-1] == self.plan.shared:
            return held.sums
        return np.array(held.sums[region(self._places(held, indices))])

    def put(self, indices: tuple[Grid, ...], sums: Sums) -> None:
        """Write sums back where `tile` had them from."""
        held = self.held[self.holders[-1]]
        if sums is not held.sums:
            held.sums[region(self._places(held, indices))] = sums

    def begin(self, pair: Pair, indices: tuple[Grid, ...], places: int) -> int:
        """How many sums begin over `places` instances of the outer level, and note that."""
        if self._begins(pair):
            return 0
        where = region(indices)
        begun = self.begun[pair][where]
        missing = np.maximum(places - begun, 0)
        begun += missing
        self.begun[pair][where] = begun
        return int(missing.sum())

    def indices(self, ranges: Ranges) -> tuple[Grid, ...]:
        """The outputs of a tile along each axis."""
        found = []
        for axis in self.plan.problem.output:
            shape, first = shape_of(axis, ranges)
            window = self.events.window(shape)
            if not window.whole or len(window.held) < window.index.size:
                raise RefusedError(
                    "several iterations of its loops add to one output; not followed"
                )
            found.append(window.held + first)
        return tuple(found)

    def _begins(self, pair: Pair) -> bool:
        name = self.plan.name("output", pair.outer)
        memories = self.plan.levels[pair.outer]
        return any(m.begins for m in memories if m.name == name)

    def _places(self, held: Held, indices: tuple[Grid, ...]) -> list[Grid]:
        return [np.searchsorted(m, one) for m, one in zip(held.indices, indices, strict=True)]

    def _send(self, outer: int, level: int) -> None:
        if level not in self.held:
            return
        mine, above = self.held[level], self.held[outer]
        above.sums[region(self._places(above, mine.indices))] = mine.sums
        size = self.exchange.whole(Pair("output", outer, level)) or mine.sums.size
        self.tally.add(Pair("output", outer, level), (0, 0, size, size))

    def _fetch(self, outer: int, level: int, indices: tuple[Grid, ...]) -> None:
        pair, above = Pair("output", outer, level), self.held[outer]
        sums = above.sums[region(self._places(above, indices))]
        size = self.exchange.whole(pair) or prod(len(one) for one in indices)
        back = size - self.begin(pair, indices, 1)
        self.tally.add(pair, (back, back, 0, 0))
        self.held[level] = Held(indices, np.array(sums))
