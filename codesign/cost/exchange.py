"""What memories exchange and how often they are read and written, in bits."""

from collections.abc import Mapping
from dataclasses import dataclass

from codesign.cost.candidates import Amounts, Candidates
from codesign.cost.operands import Densities, Widths
from codesign.cost.traffic import Moves, moves
from codesign.machine.machine import Memory, Operand


@dataclass(frozen=True)
class Exchange:
    """Bits by memory and operand that go `down` from it and come `up` to it, `read` and `written`.

    `none` is 0 for each candidate.
    """

    none: Amounts
    down: Mapping[tuple[str, Operand], Amounts]
    up: Mapping[tuple[str, Operand], Amounts]
    read: Mapping[str, Amounts]
    written: Mapping[str, Amounts]


def exchange(candidates: Candidates, widths: Widths, densities: Densities) -> Exchange:
    """What each memory exchanges with the level below, and the accesses that this takes."""
    none = 0.0 * candidates.ones
    memories = {memory.name: memory for memory in candidates.machine.memories}
    pairs = [(m.name, operand) for m in memories.values() for operand in m.holds]
    down, up = dict.fromkeys(pairs, none), dict.fromkeys(pairs, none)
    read, written = dict.fromkeys(memories, none), dict.fromkeys(memories, none)
    for move in moves(candidates):
        outer, inner = memories[move.outer], memories.get(move.inner)
        fell, filled, rose, drained = _sizes(move, widths)
        if not outer.multicast and move.operand != "output":
            fell = filled  # a read for each instance that takes a copy
        kept = densities.packed(move.operand, outer.packed.get(move.operand), widths.input)
        if inner is None:
            kept = _needed(candidates, move.operand, densities)
        key = (outer.name, move.operand)
        down[key] = down[key] + fell * kept
        up[key] = up[key] + rose * kept
        read[outer.name] = read[outer.name] + fell * kept
        written[outer.name] = written[outer.name] + rose * kept
        if inner is not None:
            into = _inside(inner, move.operand, widths, densities)
            written[inner.name] = written[inner.name] + filled * into
            read[inner.name] = read[inner.name] + drained * into
    return Exchange(none, down, up, read, written)


def _inside(memory: Memory, operand: Operand, widths: Widths, densities: Densities) -> float:
    return densities.packed(operand, memory.packed.get(operand), widths.input)


def _needed(candidates: Candidates, operand: Operand, densities: Densities) -> float:
    """Share of the accesses of elements to `operand` that zeros of others do not spare."""
    spares = candidates.machine.datapath.spares
    return densities.useful(o for o in spares if o != operand)


def _sizes(move: Moves, widths: Widths) -> tuple[Amounts, Amounts, Amounts, Amounts]:
    """Bits of a move: down, filled, up, drained; the last sums of each output are its result."""
    width = float(widths.of(move.operand))
    if move.operand != "output":
        return move.down * width, move.filled * width, move.up * width, move.drained * width
    up = (move.up - move.last) * width + move.last * float(widths.result)
    return move.down * width, move.filled * width, up, move.drained * width
