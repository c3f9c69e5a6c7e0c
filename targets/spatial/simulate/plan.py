"""A schedule as the simulator follows it: the extents of tiles, the order they come in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import prod

from codesign.cost.laid import Laid
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import Operand

Digit = tuple[int, str]
Range = tuple[int, int]
Ranges = Mapping[str, Range]
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Pair:
    """Two levels, the one `outer` and the one `inner`, that exchange `operand`."""

    operand: Operand
    outer: int
    inner: int


@dataclass(frozen=True, eq=False)
class Plan(Laid):
    """A problem on a machine by a schedule."""

    schedule: Schedule

    @cached_property
    def shared(self) -> int:
        """The last level of memories that there is one of; what is inside has one for each place.

        A tile of this level is what is computed at a time.
        """
        single = [not level[0].along for level in self.levels]
        return single.index(False) - 1 if False in single else len(single) - 1

    @cached_property
    def array(self) -> int:
        """The level whose tiles elements keep and do iteration after iteration of."""
        last = len(self.levels) - 1
        return last if self.along(last) == self.along(last + 1) else last + 1

    def holds(self, operand: Operand, level: int) -> bool:
        """Whether a memory of the level holds `operand`."""
        return level < len(self.levels) and any(operand in m.holds for m in self.levels[level])

    def holders(self, operand: Operand) -> tuple[int, ...]:
        """The levels that hold `operand`, the outermost first, then that of the elements."""
        held = (n for n in range(len(self.levels)) if self.holds(operand, n))
        return (*held, len(self.levels))

    def name(self, operand: Operand, level: int) -> str:
        """The name of the memory of a level that holds `operand`."""
        if level == len(self.levels):
            return "array"
        return next(m.name for m in self.levels[level] if operand in m.holds)

    def places(self, loop: str, level: int) -> tuple[Place, ...]:
        """(axis, loop, count) of each axis that spreads `loop` over instances of a level."""
        along, unrolled = self.along(level), dict(self.schedule.unrolled)
        return tuple(
            (axis, name, count)
            for axis in self.nested
            if axis in along
            for name, count in unrolled.get(axis, ())
            if name == loop
        )

    def factor(self, loop: str, level: int) -> int:
        """Over how many instances of a level the iterations of `loop` are spread."""
        return prod(count for _, _, count in self.places(loop, level))

    @cached_property
    def own(self) -> tuple[Mapping[str, int], ...]:
        """Extents of what one instance holds, by level."""
        bounds = dict(self.problem.bounds)
        held = [dict(pairs) for pairs in self.schedule.held]
        inner = [{x: min(one.get(x, 1), bound) for x, bound in bounds.items()} for one in held]
        return (bounds, *inner, dict.fromkeys(bounds, 1))

    @cached_property
    def together(self) -> tuple[Mapping[str, int], ...]:
        """Extents of what all instances hold at a time, by level."""
        return tuple(
            {x: min(own[x] * self.factor(x, n), self.problem.bound(x)) for x in self.loops}
            for n, own in enumerate(self.own)
        )

    @cached_property
    def nest(self) -> tuple[Digit, ...]:
        """The loops over tiles, outermost first: those over tiles of level k + 1 are (k, loop)."""
        found: list[Digit] = []
        for level in range(len(self.levels)):
            order = self.ordered(self.schedule.orders[level])
            found += [(level, x) for x in order if self._goes_on(level, x)]
        return tuple(found)

    def _goes_on(self, level: int, loop: str) -> bool:
        bound, inner, outer = (
            self.problem.bound(loop),
            self.together[level + 1][loop],
            self.together[level][loop],
        )
        return -(-bound // inner) > -(-bound // outer)

    def around(self, operand: Operand, level: int) -> tuple[Digit, ...]:
        """The loops that bring `operand` in anew at a level: innermost ones find it there.

        Elements without a memory of their own find nothing.
        """
        found = [digit for digit in self.nest if digit[0] < level]
        if level == len(self.levels):
            return tuple(found)
        anew = any(m.reload and operand in m.holds for m in self.levels[level])
        first = level - 1 if anew else 0
        while found and found[-1][0] >= first and not self.problem.moves(operand, found[-1][1]):
            found.pop()
        return tuple(found)

    def windowed(self, operand: Operand, level: int) -> int | None:
        """The axis along which a level keeps what a tile shares with the one before it."""
        memories = self.levels[level] if level < len(self.levels) else ()
        if not any(m.sliding and operand in m.holds for m in memories):
            return None
        around = self.around(operand, level)
        anew = any(m.reload and operand in m.holds for m in memories)
        if not around or around[-1][0] < (level - 1 if anew else 0):
            return None
        for number, axis in enumerate(self.problem.axes(operand)):
            loops = [loop for loop, _ in axis.terms]
            if around[-1][1] in loops and len(loops) > 1:
                return number if all(self.factor(x, level) == 1 for x in loops) else None
        return None

    def tiles(self, level: int) -> Iterator[tuple[Ranges, ...]]:
        """The iterations of each tile of a level and of those around it, in order."""

        def inside(number: int, found: tuple[Ranges, ...]) -> Iterator[tuple[Ranges, ...]]:
            if number == level:
                yield found
                return
            loops = [loop for at, loop in self.nest if at == number]
            cuts = [self._cut(loop, number + 1, found[-1][loop]) for loop in loops]
            for picked in product(*cuts):
                deeper = {**found[-1], **dict(zip(loops, picked, strict=True))}
                yield from inside(number + 1, (*found, deeper))

        return inside(0, ({loop: (0, bound) for loop, bound in self.problem.bounds},))

    def _cut(self, loop: str, level: int, whole: Range) -> list[Range]:
        extent = self.together[level][loop]
        return [(s, min(s + extent, whole[1])) for s in range(whole[0], whole[1], extent)]

    def check(self) -> None:
        """RefusedError unless tiles divide what they cut and outputs have a place each."""
        for loop, bound in self.problem.bounds:
            extents = [one[loop] for one in self.together]
            for outer, inner in pairwise(extents):
                if inner > outer or (outer % inner and outer < bound):
                    raise RefusedError(
                        f"the tiles of loop {loop} have extents {extents} of {bound}, outermost "
                        "first; each must divide the one before it, or that cover the loop"
                    )
        for name, count in self._used().items():
            size = next(axis.size for axis in self.machine.axes if axis.name == name)
            fused = any(axis.fused for axis in self.machine.axes if axis.name == name)
            if count > size and not fused:
                raise RefusedError(
                    f"axis {name} of machine {self.machine.name} has {size} elements, and the "
                    f"schedule spreads loops over {count}"
                )

    def _used(self) -> dict[str, int]:
        return {axis: prod(n for _, n in pairs) for axis, pairs in self.schedule.unrolled}
