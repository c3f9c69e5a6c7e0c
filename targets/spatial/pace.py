"""What the cycles of a mapped layer follow, and what they wait for besides."""

from collections.abc import Iterator

from codesign.cost.evaluate import Costs
from codesign.machine.machine import Machine, Memory

NEAR = 1 - 1e-9  # rounding: what computes as long as a bus is busy counts as computing


def paced(machine: Machine, costs: Costs) -> str:
    """`compute`, or the bus that is busy for longer, transfers that nothing hides left aside."""
    waiting = float(costs.waiting[0])
    busy = {"compute": float(costs.compute[0] + costs.fill[0])}
    busy |= {name: float(flow[0]) * NEAR for name, flow in costs.flows.items()}
    for memory in machine.memories:
        for bus, exposed in _buses(memory):
            busy[bus] -= min(waiting, busy[bus]) if exposed else 0.0
    return max(busy, key=lambda part: busy[part])


def waited(machine: Machine) -> Iterator[str]:
    """The memories of which some transfers are never hidden behind computing."""
    for memory in machine.memories:
        if any(exposed for _, exposed in _buses(memory)):
            yield memory.name


def bound(machine: Machine, costs: Costs) -> str:
    """What limits a layer: `a`, or `a + b` where transfers of b follow a."""
    parts = [paced(machine, costs)]
    if costs.waiting[0] > 0:
        parts += waited(machine)
    return " + ".join(parts)


def _buses(memory: Memory) -> Iterator[tuple[str, bool]]:
    """The buses of a memory, as `Costs.flows` calls them, and whether computing waits for them."""
    for operand in memory.flow:
        riders = [o for o in memory.holds if o == operand]
        if operand == "all":
            riders = [o for o in memory.holds if o not in memory.flow]
        name = memory.name if operand == "all" else f"{memory.name}.{operand}"
        yield name, not set(riders) <= set(memory.overlap)
