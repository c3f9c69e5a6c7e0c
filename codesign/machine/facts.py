"""A machine in short: its array, clock, memories, and what its file assumes."""

from collections.abc import Iterator
from math import inf
from typing import Any

from codesign.machine.machine import Machine, Memory

SIZES = {"GiB": 8 << 30, "MiB": 8 << 20, "KiB": 8 << 10, "B": 8, "b": 1}
WINDOWS = {
    "all": "convolutions run as products of matrices, their windows laid out beforehand",
    "first": "the first convolution runs as a product of matrices, its windows laid out beforehand",
}


def facts(machine: Machine) -> dict[str, Any]:
    """As a JSON object; sizes in bits, None where there is no limit or nothing is said."""
    path = machine.datapath
    return {
        "name": machine.name,
        "clock_hz": machine.clock,
        "technology_nm": machine.technology or None,
        "elements": machine.elements,
        "axes": [{"name": a.name, "size": a.size, "unroll": list(a.unroll)} for a in machine.axes],
        "datapath": {
            "kind": path.kind,
            "input": list(path.input),
            "weight": list(path.weight),
            "accumulator": path.accumulator,
        },
        "memories": [
            {
                "name": memory.name,
                "holds": list(memory.holds),
                "bits": None if memory.capacity == inf else memory.capacity,
                "count": machine.instances(memory),
            }
            for memory in machine.memories
        ],
        "windows": WINDOWS.get(machine.mapping.unfold),
        "assumptions": list(machine.assumptions),
        "cite": machine.cite or None,
    }


def lines(machine: Machine) -> Iterator[str]:
    """For people."""
    path = machine.datapath
    size = " x ".join(f"{axis.size} {axis.name}" for axis in machine.axes)
    made = f", {machine.technology:g} nm" if machine.technology else ""
    yield f"machine {machine.name}: {size}, {machine.clock / 1e6:g} MHz{made}"
    for axis in machine.axes:
        yield f"  {axis.name} take loops {', '.join(axis.unroll)}"
    yield (
        f"  {path.kind} multiplications of {_bits(path.input)} b inputs and {_bits(path.weight)} b "
        f"weights, sums of {path.accumulator} b"
    )
    for memory in machine.memories:
        yield f"  {memory.name}: {_room(machine, memory)} for {', '.join(memory.holds)}"
    if machine.mapping.unfold in WINDOWS:
        yield f"  {WINDOWS[machine.mapping.unfold]}"
    for assumption in machine.assumptions:
        yield f"  assumed: {assumption}"
    if machine.cite:
        yield f"  from: {machine.cite}"


def _bits(widths: tuple[int, ...]) -> str:
    return ", ".join(map(str, widths))


def _room(machine: Machine, memory: Memory) -> str:
    """How much one of a memory holds, and how many there are."""
    count = machine.instances(memory)
    each = f"{count} of " if count > 1 else ""
    if memory.capacity == inf:
        return f"{each}unlimited room"
    unit = next(unit for unit, size in SIZES.items() if memory.capacity >= size)
    return f"{each}{memory.capacity / SIZES[unit]:g} {unit}"
