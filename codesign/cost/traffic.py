"""What mapped layers move between memories, counted exactly.

A tile is brought in when the one that is held is another. So a loop makes an operand move unless
neither it nor any loop inside it, up to the level in question, moves the operand: those innermost
loops find it there. Partial sums go up when their tile is left and come back when it is taken up
again; the first time they start from zero.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from codesign.cost.candidates import NOWHERE, Candidates, Extents, Numbers, tiles
from codesign.machine.machine import OPERANDS, Operand


@dataclass(frozen=True)
class Moves:
    """Elements of `operand` that move between memory `outer` and `inner` ("array": the elements).

    `down` are read from `outer`, `filled` written into the instances of `inner` (more where one
    read serves several), `up` go from them to `outer` (after adding along axes that can), and
    `drained` are read out of the instances for it; `last` of those that go up are the last of their
    output. Of several sums that arrive for one output, the first continues what came down before;
    the others are added where they arrive.
    """

    operand: Operand
    outer: str
    inner: str
    down: Numbers
    filled: Numbers
    up: Numbers
    drained: Numbers
    last: Numbers


@lru_cache(maxsize=1)  # costs and aims of the same candidates ask one after the other
def moves(candidates: Candidates) -> tuple[Moves, ...]:
    """All that moves, by operand and from the outermost memory on."""
    found = []
    for operand in OPERANDS:
        held = [
            (number, memory.name)
            for number, level in enumerate(candidates.levels)
            for memory in level
            if operand in memory.holds
        ]
        held.append((len(candidates.levels), "array"))
        for (above, outer), (level, inner) in pairwise(held):
            found.append(_moves(candidates, operand, (outer, above), (inner, level)))
    return tuple(found)


def _moves(
    candidates: Candidates, operand: Operand, outer: tuple[str, int], inner: tuple[str, int]
) -> Moves:
    """Moves of `operand` between two memories, each given by its name and level."""
    (source, above), (sink, level) = outer, inner
    over, along, none = candidates.along(above), candidates.along(level), 0 * candidates.ones
    total = fetched(candidates, operand, level, over)
    each = fetched(candidates, operand, level, along)
    if operand != "output":
        return Moves(operand, source, sink, total, each, none, none, none)
    alone = [a.name for a in candidates.machine.axes if not a.sums and a.name in along]
    sent = fetched(candidates, operand, level, tuple(dict.fromkeys((*over, *alone))))
    begins = _begins(candidates, source)
    once = candidates.volume("output", _side_by_side(candidates, level, over)) if begins else None
    last = _begun(candidates, above, once)
    first = none if begins else last
    return Moves(operand, source, sink, sent - first, total - first, sent, each, last)


def _begins(candidates: Candidates, memory: str) -> bool:
    return any(m.begins for m in candidates.machine.memories if m.name == memory)


def _begun(candidates: Candidates, level: int, outputs: Numbers | None) -> Numbers:
    """Sums that begin in the instances of a level: one an output and place that adds.

    `outputs` is their number where it is not just as many as the layer has.
    """
    everything = candidates.ones * candidates.problem.elements("output")
    total = everything if outputs is None else outputs
    for loop, bound in candidates.problem.bounds:
        if not candidates.problem.moves("output", loop):
            places = candidates.factor(loop, candidates.along(level))
            total = total * np.minimum(places, -(-bound // candidates.own[level][loop]))
    return total


def fetched(
    candidates: Candidates, operand: Operand, level: int, along: tuple[str, ...]
) -> Numbers:
    """Elements of the tiles of `operand` at a level, as often as they are taken up.

    Each counts once for every place on the axes `along` that takes a copy of it; what lies side by
    side on the others is one tile.
    """
    problem, extents = candidates.problem, _side_by_side(candidates, level, along)
    slides = candidates.slides(operand, level)
    spans = candidates.swept(operand, level) if slides else NOWHERE
    total = candidates.volume(operand, extents, spans)
    for loop, span in candidates.spans(operand, level).items():
        factor, bound = candidates.factor(loop, along), problem.bound(loop)
        alone = factor is candidates.ones
        total = total * (
            tiles(bound, span) if alone else _places(bound, span, extents[loop], factor)
        )
    return total


def _side_by_side(candidates: Candidates, level: int, along: tuple[str, ...]) -> Extents:
    """Extents of what the instances of a level hold together on the axes that are not `along`."""
    shared = tuple(axis for axis in candidates.along(level) if axis not in along)
    return {
        loop: candidates.times(candidates.own[level][loop], loop, shared, bound)
        for loop, bound in candidates.problem.bounds
    }


def _places(bound: int, span: Numbers, own: Numbers, factor: Numbers) -> Numbers:
    """Sum over the spans of a loop of how many of `factor` places work on one, `own` each."""
    whole, rest = np.divmod(bound, span)
    found: Numbers = whole * np.minimum(factor, -(-span // own)) + np.minimum(
        factor, -(-rest // own)
    )
    return found
