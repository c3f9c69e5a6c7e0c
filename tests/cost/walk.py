"""The oracle of traffic: walk every tile in order, keep what each instance holds, count.

A schedule is static: a tile is brought in anew when a loop that moves the operand, or one around
such a loop, goes on, even if at an edge what comes is what was there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from codesign.cost.laid import Laid
from codesign.cost.problem import Follow
from codesign.cost.schedule import Schedule
from codesign.machine.machine import Operand

Element = tuple[int, ...]
Place = tuple[tuple[str, int], ...]
Ranges = dict[str, range]


def tiles(bound: int, extent: int) -> int:
    return -(-bound // extent)


@dataclass(frozen=True, eq=False)
class Mapped(Laid):
    """A problem on a machine by a schedule, with the extents that follow from it."""

    schedule: Schedule

    def factor(self, loop: str, along: tuple[str, ...]) -> int:
        """Over how many elements of the axes `along` the iterations of `loop` are spread."""
        return prod(
            count
            for axis, pairs in self.schedule.unrolled
            if axis in along
            for name, count in pairs
            if name == loop
        )

    def own(self, level: int) -> Mapping[str, int]:
        """Extents of what one instance holds at a level, at most the bounds."""
        if level == 0:
            return dict(self.problem.bounds)
        if level == len(self.levels):
            return dict.fromkeys(self.loops, 1)
        held = dict(self.schedule.held[level - 1])
        return {loop: min(held.get(loop, 1), bound) for loop, bound in self.problem.bounds}

    def together(self, level: int) -> Mapping[str, int]:
        """Extents of what all instances of a level hold at a time, at most the bounds."""
        own, along = self.own(level), self.along(level)
        return {
            loop: min(own[loop] * self.factor(loop, along), bound)
            for loop, bound in self.problem.bounds
        }

    def visits(self, level: int, loop: str) -> int:
        """Tiles that a loop has at a level, over the whole layer."""
        return tiles(self.problem.bound(loop), self.together(level)[loop])

    def order(self, level: int) -> tuple[str, ...]:
        """The loops between a level and the next that go over more than one tile."""
        named = self.schedule.orders[level]
        order = (*(loop for loop in self.loops if loop not in named), *named)
        return tuple(
            loop
            for loop in order
            if loop in self.loops and self.visits(level + 1, loop) > self.visits(level, loop)
        )


def visits(
    mapped: Mapped, operand: Operand, level: int
) -> Iterator[tuple[tuple[range, ...], Ranges]]:
    """The iterations of each tile of a level (all instances together), in order.

    Before them where the loops stand that bring `operand` in anew.
    """
    around = [(number, loop) for number in range(level) for loop in mapped.order(number)]
    first = level - 1 if reloads(mapped, operand, level) else 0
    while around and around[-1][0] >= first and not mapped.problem.moves(operand, around[-1][1]):
        around.pop()

    def inside(
        number: int, ranges: Ranges, at: tuple[range, ...]
    ) -> Iterator[tuple[tuple[range, ...], Ranges]]:
        if number == level:
            yield at[: len(around)], ranges
            return
        extents, order = mapped.together(number + 1), mapped.order(number)
        cuts = [
            [
                range(start, min(start + extents[loop], ranges[loop].stop))
                for start in range(ranges[loop].start, ranges[loop].stop, extents[loop])
            ]
            for loop in order
        ]
        for picked in product(*cuts):
            deeper = {**ranges, **dict(zip(order, picked, strict=True))}
            yield from inside(number + 1, deeper, (*at, *picked))

    yield from inside(0, {loop: range(bound) for loop, bound in mapped.problem.bounds}, ())


def instances(mapped: Mapped, level: int, ranges: Ranges) -> Iterator[tuple[Place, Ranges]]:
    """Every instance that works on a tile: its place on each axis, and its own iterations."""
    own, along = mapped.own(level), mapped.along(level)
    unrolled = dict(mapped.schedule.unrolled)
    spread = [
        (axis, loop, count)
        for axis in mapped.nested
        if axis in along
        for loop, count in unrolled.get(axis, ())
    ]
    for places in product(*(range(count) for _, _, count in spread)):
        number = dict.fromkeys(ranges, 0)
        for (_, loop, count), place in zip(spread, places, strict=True):
            number[loop] = number[loop] * count + place
        mine = {
            loop: range(
                r.start + number[loop] * own[loop],
                min(r.stop, r.start + (number[loop] + 1) * own[loop]),
            )
            for loop, r in ranges.items()
        }
        if all(mine.values()):
            where = tuple((axis, p) for (axis, _, _), p in zip(spread, places, strict=True))
            yield where, mine


def elements(mapped: Mapped, operand: Operand, ranges: Ranges) -> frozenset[Element]:
    """The elements of `operand` that the iterations of `ranges` meet."""

    def along(axis: Follow) -> set[int]:
        found = {axis.offset}
        for loop, coefficient in axis.terms:
            found = {value + coefficient * i for value in found for i in ranges[loop]}
        return {value for value in found if 0 <= value < axis.extent}

    return frozenset(product(*(sorted(along(axis)) for axis in mapped.problem.axes(operand))))


def reloads(mapped: Mapped, operand: Operand, level: int) -> bool:
    """Whether a level takes its tiles anew with each tile of the level above."""
    memories = mapped.levels[level] if level < len(mapped.levels) else ()
    return any(memory.reload and operand in memory.holds for memory in memories)


def source(mapped: Mapped, level: int, where: Place) -> Place:
    """The instance of a level that serves what is at a place: the one at that place on its axes.

    Nothing connects a place with another one's instance, so what it takes is what its own holds.
    """
    return tuple(pair for pair in where if pair[0] in mapped.along(level))


def private(mapped: Mapped, operand: Operand, level: int) -> tuple[int, int, int, int]:
    """(down, filled, up, drained) between each element and a memory of its own at `level`."""
    count, met = 0, set()
    for _, ranges in visits(mapped, operand, level):
        for where, mine in instances(mapped, level, ranges):
            for point in product(*mine.values()):
                single = {loop: range(i, i + 1) for loop, i in zip(mine, point, strict=True)}
                for element in elements(mapped, operand, single):
                    count += 1
                    met.add((where, element))
    if operand != "output":
        return count, count, 0, 0
    return count - len(met), count - len(met), count, count


def slides(mapped: Mapped, operand: Operand, level: int) -> bool:
    """Whether a tile keeps what it shares with the one before it."""
    memories = mapped.levels[level] if level < len(mapped.levels) else ()
    if not any(memory.sliding and operand in memory.holds for memory in memories):
        return False
    first = level - 1 if reloads(mapped, operand, level) else 0
    around = [loop for number in range(first, level) for loop in mapped.order(number)]
    last = next((x for x in reversed(around) if mapped.problem.moves(operand, x)), None)
    for axis in mapped.problem.axes(operand):
        loops = [loop for loop, _ in axis.terms]
        if last in loops and len(loops) > 1:
            return all(mapped.factor(loop, mapped.along(level)) == 1 for loop in loops)
    return False


def walked(mapped: Mapped, operand: Operand, above: int, level: int) -> tuple[int, int, int, int]:
    """(down, filled, up, drained) between a level and the one `above`, both holding `operand`."""
    if level == len(mapped.levels) and mapped.along(above) == mapped.along(level):
        return private(mapped, operand, above)
    held: dict[Any, tuple[range, ...]] = {}
    kept: dict[Any, frozenset[Element]] = {}
    down = filled = up = drained = 0
    met: set[Any] = set()
    apart = [a.name for a in mapped.machine.axes if not a.sums]
    at_elements = level == len(mapped.levels)
    for at, ranges in visits(mapped, operand, level):
        fresh = []
        for where, mine in instances(mapped, level, ranges):
            if at_elements or held.get(where) != at:
                content = elements(mapped, operand, mine)
                same = where in held and held[where][:-1] == at[:-1]
                stays = kept[where] if same and slides(mapped, operand, level) else frozenset()
                fresh.append((where, source(mapped, above, where), content - stays))
                kept[where] = content
        if operand == "output":
            for _, _, content in fresh:
                drained += len(content)
            up += len(
                {
                    (origin, tuple(pair for pair in where if pair[0] in apart), element)
                    for where, origin, content in fresh
                    for element in content
                }
            )
            news = {(origin, e) for _, origin, content in fresh for e in content}
            filled += len(news & met)
            met |= news
        else:
            filled += sum(len(content) for _, _, content in fresh)
            down += len({(origin, e) for _, origin, content in fresh for e in content})
        held.update((where, at) for where, _, _ in fresh)
    if operand == "output":
        down = up - len(met)
    return down, filled, up, drained
