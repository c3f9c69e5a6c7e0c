"""When levels take up tiles, and how much has moved when they did."""

import itertools
from dataclasses import dataclass, field

from codesign.machine.machine import OPERANDS, Operand
from codesign.targets.spatial.simulate.plan import Digit, Pair, Plan, Range, Ranges
from codesign.targets.spatial.simulate.window import Shape, Window

Key = tuple[Range, ...]
Amounts = tuple[int, int, int, int]


@dataclass(frozen=True)
class Moved:
    """Elements of `operand` that moved between two memories ("array": the elements).

    As in `codesign.cost.traffic.Moves`: `down` read from `outer`, `filled` written into `inner`,
    `up` sent to `outer`, `drained` read out of `inner`.
    """

    operand: Operand
    outer: str
    inner: str
    down: int
    filled: int
    up: int
    drained: int


@dataclass
class Events:
    """The loops around what each level holds, and where they stood when it was taken up."""

    plan: Plan
    windows: dict[Shape, Window] = field(default_factory=dict)
    keys: dict[tuple[Operand, int], Key] = field(default_factory=dict)
    before: dict[tuple[Operand, int], Key] = field(default_factory=dict)
    news: dict[tuple[Operand, int], bool] = field(default_factory=dict)
    around: dict[tuple[Operand, int], tuple[Digit, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for operand in OPERANDS:
            for level in range(len(self.plan.levels) + 1):
                self.around[operand, level] = self.plan.around(operand, level)

    def window(self, shape: Shape) -> Window:
        """The window of a shape, made once."""
        if shape not in self.windows:
            self.windows[shape] = Window(self.plan, shape)
        return self.windows[shape]

    def fresh(self, operand: Operand, level: int, ranges: tuple[Ranges, ...]) -> bool:
        """Whether a level takes up a tile of `operand` now; ask once a tile."""
        which, shared = (operand, level), self.plan.shared
        around = self.around[which]
        key = tuple(ranges[n + 1][loop] for n, loop in around if n < shared)
        inside = bool(around) and around[-1][0] >= shared
        old = self.keys.get(which)
        self.news[which] = inside or key != old
        if self.news[which]:
            self.before[which], self.keys[which] = old if old is not None else (), key
        return self.news[which]

    def new(self, operand: Operand, level: int) -> bool:
        """What `fresh` last said."""
        return self.news.get((operand, level), True)

    def next(self, operand: Operand, level: int) -> bool:
        """Whether only the innermost loop has gone on since the tile before."""
        key, old = self.keys[operand, level], self.before[operand, level]
        return len(key) == len(old) and len(key) > 0 and key[:-1] == old[:-1]


class Tally:
    """Amounts by pair of levels."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.amounts: dict[Pair, list[int]] = {}
        for operand in OPERANDS:
            holders = plan.holders(operand)
            for outer, inner in itertools.pairwise(holders):
                self.amounts[Pair(operand, outer, inner)] = [0, 0, 0, 0]

    def add(self, pair: Pair, amounts: Amounts) -> None:
        """Down, filled, up, drained."""
        mine = self.amounts[pair]
        for number, amount in enumerate(amounts):
            mine[number] += amount

    def moved(self) -> tuple[Moved, ...]:
        """All that moved, by operand and from the outermost memory on."""
        name = self.plan.name
        return tuple(
            Moved(p.operand, name(p.operand, p.outer), name(p.operand, p.inner), *amounts)
            for p, amounts in self.amounts.items()
        )
