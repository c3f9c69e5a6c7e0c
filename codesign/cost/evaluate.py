"""Cycles and energy of mapped layers, from what they move and what the array does.

A pass is the work on one tile of the operand that stays in the elements. Multiplications and
filling take turns; the flow between memories goes on meanwhile, and the slowest sets the pace (the
roofline of Williams et al., CACM 2009, at every level of memory).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codesign.cost.candidates import Amounts, Candidates, Numbers, tiles
from codesign.cost.limits import refuse
from codesign.cost.traffic import Moves, moves


@dataclass(frozen=True)
class Widths:
    """Bits of an element: of the operands, of partial sums and of finished results."""

    input: int
    weight: int
    partial: int
    result: int


@dataclass(frozen=True)
class Costs:
    """What each candidate costs, as arrays.

    `compute` are the cycles of multiplications, `fill` those of loading and draining the array,
    `flows` those that each memory's exchange with the level below takes. `cycles` is how long the
    array is busy or stalled, `waiting` what transfers take that nothing hides. `read` and `written`
    are bits by memory, `energy` pJ by memory, of multiplications (`mac`) and of what is drawn all
    the time (`idle`).
    """

    compute: Amounts
    fill: Amounts
    flows: Mapping[str, Amounts]
    cycles: Amounts
    waiting: Amounts
    read: Mapping[str, Amounts]
    written: Mapping[str, Amounts]
    energy: Mapping[str, Amounts]

    @property
    def latency(self) -> Amounts:
        """All cycles."""
        return self.cycles + self.waiting

    @property
    def picojoules(self) -> Amounts:
        """All energy."""
        return sum(self.energy.values(), start=0.0 * self.cycles)

    def bound(self, number: int = 0) -> str:
        """What the cycles of a candidate follow: `compute`, or the slowest memory's name."""
        pace = float(self.compute[number] + self.fill[number])
        slow = [name for name, flow in self.flows.items() if flow[number] > pace]
        return max(slow, key=lambda name: float(self.flows[name][number]), default="compute")


def evaluate(candidates: Candidates, widths: Widths) -> Costs:
    """The costs of `candidates` with dense operands of `widths`.

    RefusedError for a machine that says what is not followed here (see `limits`).
    """
    machine = candidates.machine
    refuse(machine)
    found = moves(candidates)
    outer = _exchange(found, widths)
    read, written = _accesses(candidates, found, widths)
    flows = {}
    for memory in machine.memories:
        if memory.flow and memory.name in outer:
            down, up = outer[memory.name]
            flows[memory.name] = (np.maximum(down, up) if memory.ports == 2 else down + up) / (
                memory.flow
            )
    compute, fill = busy(candidates).astype(float), _fill(candidates)
    hidden = [flows[m.name] for m in machine.memories if m.name in flows and m.overlap]
    cycles: Amounts = np.max([compute + fill, *hidden], axis=0)
    seen = (flows[m.name] for m in machine.memories if m.name in flows and not m.overlap)
    waiting: Amounts = sum(seen, start=0.0 * compute)
    energy: dict[str, Amounts] = {
        m.name: (read[m.name] * m.read + written[m.name] * m.write) / m.width
        for m in machine.memories
    }
    energy["mac"] = candidates.ones * candidates.problem.macs * machine.datapath.mac
    energy["idle"] = machine.idle * (cycles + waiting) / machine.clock * 1e9
    return Costs(compute, fill, flows, cycles, waiting, read, written, energy)


def array_level(candidates: Candidates) -> int:
    """The first level that every element has of its own; the elements themselves if none is."""
    axes = {axis.name for axis in candidates.machine.axes}
    levels = range(len(candidates.levels) + 1)
    return next(number for number in levels if set(candidates.along(number)) == axes)


def busy(candidates: Candidates) -> Numbers:
    """Cycles of the busiest elements if every multiplication takes one: edges count in full."""
    level = array_level(candidates)
    own, along = candidates.own[level], candidates.along(level)
    total = candidates.ones
    for loop, bound in candidates.problem.bounds:
        whole, rest = np.divmod(bound, own[loop] * candidates.factor(loop, along))
        total = total * (whole * own[loop] + np.minimum(own[loop], rest))
    return total


def passes(candidates: Candidates) -> Numbers:
    """How often the elements take up another tile of the operand that is stationary."""
    level, operand = array_level(candidates), candidates.machine.timing.stationary
    kept = candidates.spans(operand, level)
    total = candidates.ones
    for loop, bound in candidates.problem.bounds:
        total = total * tiles(bound, kept.get(loop, candidates.together[level][loop]))
    return total


def _fill(candidates: Candidates) -> Amounts:
    timing = candidates.machine.timing
    each = timing.skew + (0 if timing.hidden else timing.load)
    return (passes(candidates) * each).astype(float)


def _sizes(move: Moves, widths: Widths) -> tuple[Amounts, Amounts, Amounts, Amounts]:
    """Bits of a move: down, filled, up, drained; the last sums of each output are its result."""
    if move.operand != "output":
        width = float(widths.input if move.operand == "input" else widths.weight)
        return move.down * width, move.filled * width, move.up * width, move.drained * width
    partial, last = float(widths.partial), move.up - move.down
    up = move.down * partial + last * float(widths.result)
    return move.down * partial, move.filled * partial, up, move.drained * partial


def _exchange(found: tuple[Moves, ...], widths: Widths) -> dict[str, tuple[Amounts, Amounts]]:
    """Bits that go down from each memory and come up to it."""
    total: dict[str, tuple[Amounts, Amounts]] = {}
    for move in found:
        down, _, up, _ = _sizes(move, widths)
        before = total.get(move.outer, (0.0 * down, 0.0 * up))
        total[move.outer] = before[0] + down, before[1] + up
    return total


def _accesses(
    candidates: Candidates, found: tuple[Moves, ...], widths: Widths
) -> tuple[dict[str, Amounts], dict[str, Amounts]]:
    """Bits read from and written to each memory."""
    none = 0.0 * candidates.ones
    read = {memory.name: none for memory in candidates.machine.memories}
    written = dict(read)
    for move in found:
        down, filled, up, drained = _sizes(move, widths)
        read[move.outer] = read[move.outer] + down
        written[move.outer] = written[move.outer] + up
        if move.inner != "array":
            written[move.inner] = written[move.inner] + filled
            read[move.inner] = read[move.inner] + drained
    return read, written
