"""A mapping in words: its loop nest, what bounds it, what one doubled resource would buy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import Costs, evaluate
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import Machine, Memory
from codesign.mapping.mapper import search
from codesign.targets.spatial.layer import Layer
from codesign.targets.spatial.pace import paced, waited

Aims = Sequence[str] | None


def explained(
    layer: Layer, machine: Machine, schedule: Schedule, aims: Aims, seconds: float
) -> dict[str, Any]:
    """As a JSON object: `loop_nest` in lines, cycles in all, by part and by bus, what more buys.

    `cycles` are those of computing, or of the slowest bus (`bound`) where that takes longer, and
    `waiting`: those of transfers that nothing hides, through the memories `waits`.
    """
    costs = evaluate(Candidates.of(layer.problem, machine, schedule), layer.widths, layer.densities)
    return {
        "loop_nest": list(nest(layer.problem, machine, schedule)),
        "cycles": float(costs.latency[0]),
        "bound": paced(machine, costs),
        "waiting": float(costs.waiting[0]),
        "waits": list(waited(machine)) if costs.waiting[0] > 0 else [],
        "busy_cycles": {
            "compute": float(costs.compute[0]),
            "fill and drain": float(costs.fill[0]),
            **{name: float(cycles[0]) for name, cycles in costs.flows.items()},
        },
        "energy_uj": {name: float(pj[0]) / 1e6 for name, pj in costs.energy.items()},
        "doubled": list(doubled(layer, machine, costs, aims, seconds)),
    }


def nest(problem: Problem, machine: Machine, schedule: Schedule) -> Iterator[str]:
    """The loops from the outermost memory to the elements, a line each, indented as they nest."""
    laid, depth = Candidates.of(problem, machine, schedule), 0
    for level, memories in enumerate(laid.levels):
        tile = _extents(laid.own[level]) if level else "the whole layer"
        names = " + ".join(f"{m.name} ({', '.join(m.holds)})" for m in memories)
        yield f"{'  ' * depth}{names}: {tile}"
        depth += 1
        for axis in machine.axes:
            if axis.name in laid.along(level + 1) and axis.name not in laid.along(level):
                spread = [(x, n) for x, n in dict(schedule.unrolled).get(axis.name, ()) if n > 1]
                text = ", ".join(f"{loop} {count}" for loop, count in spread) or "nothing"
                yield f"{'  ' * depth}at once along {axis.name} (of {axis.size}): {text}"
        for loop in laid.order(level):
            outer, inner = (int(laid.together[n][loop][0]) for n in (level, level + 1))
            if outer > inner:
                yield f"{'  ' * depth}for {loop} in {-(-outer // inner)}"
                depth += 1
    yield f"{'  ' * depth}multiply and add"


def _extents(extents: Mapping[str, Any]) -> str:
    held = [f"{loop} {int(extent[0])}" for loop, extent in extents.items() if extent[0] > 1]
    return f"a tile of {' x '.join(held)}" if held else "one iteration"


def doubled(
    layer: Layer, machine: Machine, costs: Costs, aims: Aims, seconds: float
) -> Iterator[dict[str, Any]]:
    """What the best mapping would cost with twice as much of one resource, each resource alone."""
    for name, larger in _larger(machine):
        try:
            found = search(
                layer.problem, larger, layer.widths, layer.densities, aims, seconds
            ).costs
        except RefusedError:
            continue
        yield {
            "resource": name,
            "latency": float(found.latency[0] / costs.latency[0]),
            "energy": float(found.picojoules[0] / costs.picojoules[0]) if _priced(costs) else None,
        }


def _priced(costs: Costs) -> bool:
    return bool(costs.picojoules[0] > 0)


def _larger(machine: Machine) -> Iterator[tuple[str, Machine]]:
    for number, axis in enumerate(machine.axes):
        axes = list(machine.axes)
        axes[number] = replace(axis, size=2 * axis.size)
        yield f"elements along {axis.name}", replace(machine, axes=tuple(axes))
    for number, memory in enumerate(machine.memories):
        for name, more in _more(memory):
            memories = list(machine.memories)
            memories[number] = more
            yield name, replace(machine, memories=tuple(memories))


def _more(memory: Memory) -> Iterator[tuple[str, Memory]]:
    if memory.capacity < inf:
        yield f"capacity of {memory.name}", replace(memory, capacity=2 * memory.capacity)
    if memory.flow:
        flow = {bus: 2 * bits for bus, bits in memory.flow.items()}
        yield f"bandwidth of {memory.name}", replace(memory, flow=flow)
