"""Cycles and energy of mapped layers, from what they move and what the array does.

A pass is the work on one tile of the operand that stays in the elements. Multiplications and
filling take turns, unless the next tile loads while the one before is worked on; the flow between
memories goes on meanwhile, and the slowest sets the pace (the roofline of Williams et al., CACM
2009, at every bus of every memory).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from codesign.cost.candidates import Amounts, Candidates, Numbers, tiles
from codesign.cost.exchange import Exchange, exchange
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.cost.uneven import slowest
from codesign.machine.machine import Memory, Operand


@dataclass(frozen=True)
class Costs:
    """What each candidate costs, as arrays.

    `compute` are the cycles of multiplications, `fill` those of loading and draining the array,
    `flows` those that each bus ("memory" or "memory.operand") is busy. `cycles` is how long the
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

    def only(self, number: int) -> "Costs":
        """The costs of candidate `number` alone."""

        def one(amounts: Amounts) -> Amounts:
            return np.asarray(np.broadcast_to(amounts, np.shape(self.cycles))[number : number + 1])

        def each(table: Mapping[str, Amounts]) -> Mapping[str, Amounts]:
            return {key: one(amounts) for key, amounts in table.items()}

        return Costs(
            one(self.compute),
            one(self.fill),
            each(self.flows),
            one(self.cycles),
            one(self.waiting),
            each(self.read),
            each(self.written),
            each(self.energy),
        )

    @property
    def latency(self) -> Amounts:
        """All cycles."""
        return self.cycles + self.waiting

    @property
    def picojoules(self) -> Amounts:
        """All energy."""
        return sum(self.energy.values(), start=0.0 * self.cycles)

    def bound(self, number: int = 0) -> str:
        """What the cycles of a candidate follow: `compute`, or the slowest bus's name."""
        pace = float(self.compute[number] + self.fill[number])
        slow = [name for name, flow in self.flows.items() if flow[number] > pace]
        return max(slow, key=lambda name: float(self.flows[name][number]), default="compute")


def evaluate(candidates: Candidates, widths: Widths, densities: Densities = DENSE) -> Costs:
    """The costs of `candidates` with operands of `widths` and `densities`."""
    machine, path = candidates.machine, candidates.machine.datapath
    moved = exchange(candidates, widths, densities)
    kept = slowed(candidates, densities)
    compute = busy(candidates) * (kept * path.cycles(widths.input, widths.weight))
    steady, first = _fill(candidates, compute), _first(candidates, widths)
    flows: dict[str, Amounts] = {}
    pace, waiting = compute + steady, 0.0 * compute
    for memory in reversed(machine.memories):
        if memory is machine.memories[0]:
            pace = pace + first
        for operand, flow in memory.flow.items():
            name = memory.name if operand == "all" else f"{memory.name}.{operand}"
            flows[name] = _bus(memory, moved, _riders(memory, operand), flow)
            apart = _exposed(memory, moved, operand, flow)
            pace, waiting = np.maximum(pace, flows[name] - apart), waiting + apart
    cycles: Amounts = pace
    energy: dict[str, Amounts] = {
        m.name: (moved.read[m.name] * m.read + moved.written[m.name] * m.write) / m.width
        for m in machine.memories
    }
    each = path.picojoules(widths.input, widths.weight, densities.useful(path.spares))
    energy["mac"] = candidates.ones * (candidates.problem.macs * each)
    energy["idle"] = machine.idle * (cycles + waiting) / machine.clock * 1e9
    return Costs(compute, steady + first, flows, cycles, waiting, moved.read, moved.written, energy)


def _riders(memory: Memory, operand: str) -> tuple[Operand, ...]:
    """The operands that share the bus `operand` of a memory."""
    own = tuple(o for o in memory.holds if (o == operand if operand != "all" else True))
    return tuple(o for o in own if operand != "all" or o not in memory.flow)


def _bus(memory: Memory, moved: Exchange, riders: tuple[Operand, ...], flow: float) -> Amounts:
    """Cycles that a bus takes for what the operands `riders` exchange."""
    down = sum((moved.down[memory.name, o] for o in riders), start=moved.none)
    up = sum((moved.up[memory.name, o] for o in riders), start=moved.none)
    total: Amounts = (np.maximum(down, up) if memory.ports == 2 else down + up) / flow
    return total


def _exposed(memory: Memory, moved: Exchange, operand: str, flow: float) -> Amounts:
    """Cycles of a bus that computing does not hide."""
    riders = tuple(o for o in _riders(memory, operand) if o not in memory.overlap)
    return _bus(memory, moved, riders, flow)


def busy(candidates: Candidates) -> Numbers:
    """Multiplications of the busiest element: edges count in full where tiles are whole."""
    level = candidates.elements
    own, along = candidates.own[level], candidates.along(level)
    total = candidates.ones
    for loop, bound in candidates.problem.bounds:
        if candidates.machine.whole_tiles:
            total = total * own[loop]
            for number in range(level):
                inner = candidates.spread[number + 1][loop]
                total = total * -(-candidates.spread[number][loop] // inner)
            continue
        whole, rest = np.divmod(bound, own[loop] * candidates.factor(loop, along))
        total = total * (whole * own[loop] + np.minimum(own[loop], rest))
    return total


def slowed(candidates: Candidates, densities: Densities) -> Amounts:
    """Share of the busiest element's multiplications that take time where zeros are skipped.

    Elements wait for each other whenever they take up another tile of their own.
    """
    useful = densities.useful(candidates.machine.datapath.skip)
    if useful == 1.0:
        return candidates.ones.astype(float)
    level = candidates.elements
    work = prod(candidates.own[level].values(), start=candidates.ones)
    axes = candidates.along(level)
    spread = (
        np.minimum(candidates.factor(loop, axes), -(-bound // candidates.own[level][loop]))
        for loop, bound in candidates.problem.bounds
    )
    share: Amounts = slowest(work, prod(spread, start=candidates.ones), useful) / work
    return share


def passes(candidates: Candidates) -> Numbers:
    """How often the elements take up another tile of the operand that is stationary."""
    level, operand = candidates.elements, candidates.machine.timing.stationary
    kept = candidates.spans(operand, level)
    total = candidates.ones
    for loop, bound in candidates.problem.bounds:
        total = total * tiles(bound, kept.get(loop, candidates.together[level][loop]))
    return total


def _fill(candidates: Candidates, compute: Amounts) -> Amounts:
    """Cycles of filling, draining and loading the array that multiplications do not hide.

    Where loads hide, the first does not, and each other one only as far as the pass before lasts.
    """
    timing, count = candidates.machine.timing, passes(candidates).astype(float)
    if not timing.hidden:
        return count * (timing.skew + timing.load)
    work = compute / count + timing.skew
    longer = (count - 1) * np.maximum(timing.load - work, 0.0)
    filled: Amounts = count * timing.skew + timing.load + longer
    return filled


def _first(candidates: Candidates, widths: Widths) -> Amounts:
    """Cycles in which elements wait for their first tiles, and nothing on the chip goes on."""
    timing = candidates.machine.timing
    each = 0.0 * candidates.ones
    extents = candidates.together[candidates.elements]
    for operand in widths.among(timing.first):
        first = candidates.largest(operand, extents) * widths.of(operand)
        each = each + first / timing.first[operand]
    return passes(candidates) * each
