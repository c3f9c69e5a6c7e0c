"""ZigZag's mappings priced by the cost model of codesign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from benchmarks.zigzag_machines import LOOPS
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import busy
from codesign.cost.exchange import exchange
from codesign.cost.operands import DENSE, Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.machine.machine import Machine, Memory, Operand

LINKS: dict[str, Operand] = {"I": "input", "W": "weight", "O": "output"}
Loop = tuple[str, int]


@dataclass(frozen=True)
class Price:
    """What a mapped layer costs: cycles, and pJ by memory (`mac`: by multiplications)."""

    cycles: float
    energy: Mapping[str, float]

    @property
    def picojoules(self) -> float:
        """All energy."""
        return sum(self.energy.values())


def nested(problem: Problem, machine: Machine, layer: Mapping[str, Any]) -> Candidates:
    """A layer's mapping, as `zigzag_peer` describes it, as one candidate.

    Every loop has a level of its own, and each memory is cut into one for each operand, which lies
    where ZigZag cuts that operand's loops. So no two loops share a level, and orders say nothing.
    """
    order = _order(layer)
    ends = {LINKS[o]: _ends(levels) for o, levels in layer["temporal"].items()}
    at: dict[int, list[Memory]] = {place: [] for place in range(len(order) + 1)}
    for memory in machine.memories:
        for operand in memory.holds:
            levels = [m for m in reversed(machine.levels(operand)) if not m.name.endswith(" pin")]
            place = ends[operand][levels.index(memory)] if memory in levels else 0
            name = f"{memory.name}/{operand}"
            at[place].append(replace(memory, name=name, holds=(operand,), flow={}, apart=True))
    spread = {axis.name: _spread(layer, axis.name) for axis in machine.axes}
    memories, held = list[Memory](), list[tuple[Loop, ...]]()
    for place in reversed(at):
        for memory in at[place] or [Memory(f"~{place}", (), apart=True)]:
            memories.append(memory)
            inside = [axis for axis in spread if axis not in memory.along]
            held.append(
                _tile([*order[:place], *(loop for axis in inside for loop in spread[axis])])
            )
    device = replace(machine, memories=tuple(memories))
    orders = tuple(() for _ in memories)
    schedule = Schedule(tuple(spread.items()), tuple(held[1:]), (*orders,))
    return Candidates.of(problem, device, schedule)


def price(problem: Problem, machine: Machine, layer: Mapping[str, Any], widths: Widths) -> Price:
    """What ZigZag's mapping of a layer costs on `machine`; operands share buses as there."""
    one = nested(problem, machine, layer)
    moved = exchange(one, widths, DENSE)
    cycles = float(busy(one)[0])
    energy = {"mac": problem.macs * machine.datapath.mac}
    for memory in machine.memories:
        names = [f"{memory.name}/{operand}" for operand in memory.holds]
        read, written = (sum(float(t[n][0]) for n in names) for t in (moved.read, moved.written))
        energy[memory.name] = (read * memory.read + written * memory.write) / memory.width
        for flow in memory.flow.values():
            pairs = [(name, o) for name, o in zip(names, memory.holds, strict=True)]
            down, up = (sum(float(t[p][0]) for p in pairs) for t in (moved.down, moved.up))
            cycles = max(cycles, (max(down, up) if memory.ports == 2 else down + up) / flow)
    return Price(cycles, energy)


def _order(layer: Mapping[str, Any]) -> list[Loop]:
    """The loops in time, the innermost first; every operand has the same."""
    levels = next(iter(layer["temporal"].values()))
    return [(LOOPS[loop], round(size)) for level in levels for loop, size in level]


def _ends(levels: Sequence[Sequence[Any]]) -> list[int]:
    """How many loops lie inside each memory of an operand, from the innermost memory on."""
    return [sum(map(len, levels[: number + 1])) for number in range(len(levels))]


def _spread(layer: Mapping[str, Any], axis: str) -> tuple[Loop, ...]:
    given = layer["spatial"].get(axis, {})
    return tuple((LOOPS[loop], round(size)) for loop, size in given.items() if round(size) > 1)


def _tile(loops: Sequence[Loop]) -> tuple[Loop, ...]:
    names = dict.fromkeys(loop for loop, _ in loops)
    return tuple((name, prod(size for loop, size in loops if loop == name)) for name in names)
