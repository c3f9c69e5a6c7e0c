"""What must hold between the parts of a machine, so that every cost is well defined."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from codesign.errors import MachineError
from codesign.machine.machine import LOOPS, OPERANDS, Machine, Memory

AIMS = ("latency", "energy", "edp", "elements")
RESERVED = frozenset(
    {*AIMS, "hidden", "mac", "idle", "array", "compute", "fill and drain", "host", "overhead"}
)
PLANE = ("n", "g", "m", "c", "y", "x", "r", "s")


def check(machine: Machine) -> None:
    """MachineError, saying which key to change, unless `machine` makes sense."""
    _names("memory", [memory.name for memory in machine.memories])
    _names("axis", [axis.name for axis in machine.axes])
    _check_reserved(machine)
    for memory in machine.memories:
        _check_memory(machine, memory)
    _check_levels(machine)
    _check_axes(machine)
    _check_loops(machine)
    _check_datapath(machine)
    _check_timing(machine)
    _check_mapping(machine)


def _names(what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MachineError(f"two tables [[{what}]] are called {name!r}; names must differ")
        seen.add(name)


def _check_reserved(machine: Machine) -> None:
    """No memory is called as an aim, a part of the costs, or a bus of another memory."""
    buses = {f"{m.name}.{o}": m.name for m in machine.memories for o in (*OPERANDS, "all")}
    for memory in machine.memories:
        if memory.name in RESERVED:
            raise MachineError(
                f"a memory is called {memory.name!r}, a name that costs and aims have for "
                f"something else, as {', '.join(sorted(RESERVED - {memory.name}))}; call it "
                "something else"
            )
        if memory.name in buses:
            raise MachineError(
                f"a memory is called {memory.name!r}, as is a flow of memory "
                f"{buses[memory.name]}; call it something else"
            )


def _check_memory(machine: Machine, memory: Memory) -> None:
    axes = {axis.name for axis in machine.axes}
    for name in memory.along:
        if name not in axes:
            known = ", ".join(sorted(axes))
            raise MachineError(f"memory {memory.name}.along names axis {name!r}; axes are {known}")
    need = sum(_widest(machine, operand) for operand in memory.holds)
    if memory.usable < need:
        halves = ", of which double buffering leaves half" if memory.double else ""
        raise MachineError(
            f"memory {memory.name}.capacity is {memory.capacity:g} b{halves}; one element of each "
            f"of {', '.join(memory.holds)} takes {need} b, {need - memory.usable:g} b more"
        )
    if memory.sliding and machine.whole_tiles:
        raise MachineError(
            f"memory {memory.name}.sliding keeps what windows share, and machine.whole_tiles takes "
            "every tile for a whole one; leave one of them out"
        )
    for operand in memory.flow:
        if operand != "all" and operand not in memory.holds:
            raise MachineError(
                f"memory {memory.name}.flow names {operand}, which the memory does not hold"
            )
    for operand in memory.packed:
        if operand not in memory.holds:
            raise MachineError(
                f"memory {memory.name}.packed names {operand}, which the memory does not hold"
            )


def _widest(machine: Machine, operand: str) -> int:
    path = machine.datapath
    widths = {"input": max(path.input), "weight": max(path.weight), "output": path.stored}
    return widths[operand]


def _check_levels(machine: Machine) -> None:
    """Each operand comes from an unlimited memory; memories only divide on the way in."""
    for operand in OPERANDS:
        levels = machine.levels(operand)
        if not levels:
            raise MachineError(f"no memory holds {operand}; name it in the holds of one")
        if levels[0].capacity != inf:
            raise MachineError(
                f"the outermost memory that holds {operand}, {levels[0].name}, is limited; the "
                'first memory must hold all operands and have capacity = "unlimited" (or none)'
            )
        for outer, inner in pairwise(levels):
            if not set(outer.along) <= set(inner.along):
                raise MachineError(
                    f"memory {inner.name} lies inside {outer.name}, so its along must name "
                    f"{', '.join(sorted(set(outer.along) - set(inner.along)))} too"
                )


def _check_axes(machine: Machine) -> None:
    for axis in machine.axes:
        strange = [loop for loop in axis.unroll if loop not in LOOPS]
        if strange or len(set(axis.unroll)) < len(axis.unroll):
            raise MachineError(
                f"axis {axis.name}.unroll is {list(axis.unroll)}, expected loops, each once, such "
                f'as ["m"] or ["c", "r"]; loops are {", ".join(LOOPS)}'
            )


def _check_loops(machine: Machine) -> None:
    """Something goes over each loop that a layer of two dimensions has."""
    spread = {loop for axis in machine.axes for loop in axis.unroll}
    for loop in PLANE:
        if loop not in spread and all(m.loops and loop not in m.loops for m in machine.memories):
            raise MachineError(
                f'no memory goes over loop {loop} and no axis takes it; name "{loop}" in the loops '
                "of a memory, leave the loops of one out (all), or name it in the unroll of an axis"
            )


def _check_datapath(machine: Machine) -> None:
    path = machine.datapath
    if (path.kind == "serial") != bool(path.serial):
        raise MachineError(
            f'datapath.kind is "{path.kind}" and datapath.serial is {list(path.serial)}; operands '
            'are named as serial where the kind is "serial" and only there'
        )
    if (path.kind == "fused") != bool(path.brick):
        raise MachineError(
            f'datapath.kind is "{path.kind}" and datapath.brick is {path.brick}; bricks have a '
            'size where the kind is "fused" and only there'
        )
    if path.brick:
        for width in (*path.input, *path.weight):
            if max(width, path.brick) % path.brick:
                raise MachineError(
                    f"datapath takes {width} bits, which bricks of {path.brick} do not make up"
                )
    if path.gated > path.mac:
        raise MachineError(
            f"datapath.gated is {path.gated:g} pJ, more than datapath.mac, {path.mac:g} pJ"
        )
    for operand in (*path.serial, *path.gate, *path.skip):
        if operand == "output":
            raise MachineError("datapath.serial, gate and skip name operands that are multiplied")


def _check_timing(machine: Machine) -> None:
    for operand, flow in machine.timing.first.items():
        if operand == "all" or not flow:
            raise MachineError(
                "timing.first gives the flow of each operand that is waited for, such as "
                '{weight = "64 b/cycle"}'
            )


def _check_mapping(machine: Machine) -> None:
    """The policy names aims, axes and flows that there are."""
    policy = machine.mapping
    memories = {memory.name: memory for memory in machine.memories}
    aims = (*AIMS, *memories)
    for aim in policy.order:
        if aim not in aims:
            raise MachineError(f"mapping.order names {aim!r}; aims are {', '.join(aims)}")
    axes = {axis.name for axis in machine.axes}
    if policy.batch and policy.batch not in axes:
        known = ", ".join(sorted(axes))
        raise MachineError(f"mapping.batch names axis {policy.batch!r}; axes are {known}")
    if policy.batch and all("y" not in a.unroll for a in machine.axes if a.name == policy.batch):
        raise MachineError(
            f"mapping.batch names axis {policy.batch}, which is to hold all rows of an image, but "
            'its unroll does not have "y"'
        )
    for flow in policy.hidden:
        name, _, operand = flow.rpartition(".")
        if name not in memories or operand not in memories[name].flow:
            known = ", ".join(f"{m.name}.{o}" for m in memories.values() for o in m.flow)
            raise MachineError(f"mapping.hidden names flow {flow!r}; flows are {known or 'none'}")
