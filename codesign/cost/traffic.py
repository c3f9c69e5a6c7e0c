"""What a mapped layer moves between memories, counted exactly.

A tile is brought in when the one that is held is another. So a loop makes an operand move unless
neither it nor any loop inside it, up to the level in question, moves the operand: those innermost
loops find it there. Partial sums go up when their tile is left and come back when it is taken up
again; the first time they start from zero.
"""

from dataclasses import dataclass
from itertools import pairwise

from codesign.cost.footprint import tiles, volume
from codesign.cost.schedule import Mapped
from codesign.machine.machine import OPERANDS, Operand


@dataclass(frozen=True)
class Moves:
    """Elements of `operand` that move between memory `outer` and `inner` ("array": the elements).

    `down` are read from `outer`, `filled` written into the instances of `inner` (more where one
    read serves several), `up` go from them to `outer` (after adding along axes that can), and
    `drained` are read out of the instances for it. Of several sums that arrive for one output, the
    first continues what came down before; the others are added where they arrive.
    """

    operand: Operand
    outer: str
    inner: str
    down: int
    filled: int
    up: int
    drained: int


def moves(mapped: Mapped) -> tuple[Moves, ...]:
    """All that moves, by operand and from the outermost memory on."""
    found = []
    for operand in OPERANDS:
        held = [
            (number, memory.name)
            for number, level in enumerate(mapped.levels)
            for memory in level
            if operand in memory.holds
        ]
        held.append((len(mapped.levels), "array"))
        for (_, outer), (level, inner) in pairwise(held):
            found.append(_moves(mapped, operand, outer, inner, level))
    return tuple(found)


def _moves(mapped: Mapped, operand: Operand, outer: str, inner: str, level: int) -> Moves:
    """Moves of `operand` into a level from the next memory out that holds it."""
    along = mapped.along(level)
    total = fetched(mapped, operand, level, ())
    each = fetched(mapped, operand, level, along)
    if operand != "output":
        return Moves(operand, outer, inner, total, each, 0, 0)
    apart = tuple(a.name for a in mapped.machine.axes if not a.sums and a.name in along)
    sent = fetched(mapped, operand, level, apart)
    first = mapped.problem.elements("output")
    return Moves(operand, outer, inner, sent - first, total - first, sent, each)


def fetched(mapped: Mapped, operand: Operand, level: int, along: tuple[str, ...]) -> int:
    """Elements of the tiles of `operand` at a level, as often as they are taken up.

    Each counts once for every place on the axes `along` that takes a copy of it.
    """
    problem, own = mapped.problem, mapped.own(level)
    extents = mapped.together(level) if not along else own
    total = volume(problem, operand, extents)
    for loop, span in spans(mapped, operand, level).items():
        total *= _places(problem.bound(loop), span, own[loop], mapped.factor(loop, along))
    return total


def spans(mapped: Mapped, operand: Operand, level: int) -> dict[str, int]:
    """For each loop that does not move `operand`: of what extent it takes tiles up again."""
    still = [loop for loop in mapped.loops if not mapped.problem.moves(operand, loop)]
    found = {loop: mapped.together(level)[loop] for loop in still}
    if level == len(mapped.levels):
        return found
    for outer in reversed(range(level)):
        for loop in reversed(mapped.order(outer)):
            if loop not in still:
                return found
            found[loop] = mapped.together(outer)[loop]
    return found


def _places(bound: int, span: int, own: int, factor: int) -> int:
    """Sum over the spans of a loop of how many of `factor` places work on one, `own` each."""
    whole, rest = divmod(bound, span)
    return whole * min(factor, tiles(span, own)) + min(factor, tiles(rest, own))
