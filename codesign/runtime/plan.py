"""What a compiled program does when it runs: calls into a library over one arena of memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

ALIGNMENT = 64


@dataclass(frozen=True)
class Slot:
    """A buffer in the arena: byte offset, physical shape and element type."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Step:
    """One call: the library's function, and for each argument a slot or a weight's name.

    `layer` is the group's name, `function` may be shared by several steps.
    """

    layer: str
    function: str
    arguments: tuple[Slot | str, ...]


@dataclass(frozen=True)
class Port:
    """A public input or output: its name, logical shape and element type, and its buffer.

    `bounds` are the least and greatest value of an integer input that picks rows or elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    slot: Slot
    bounds: tuple[int, int] | None = None


@dataclass(frozen=True)
class Plan:
    """Steps in order, the arena's size in bytes, inputs and outputs."""

    steps: tuple[Step, ...]
    arena: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "arena": self.arena,
            "inputs": [_port_json(p) for p in self.inputs],
            "outputs": [_port_json(p) for p in self.outputs],
            "steps": [
                {
                    "layer": s.layer,
                    "function": s.function,
                    "arguments": [a if isinstance(a, str) else _slot_json(a) for a in s.arguments],
                }
                for s in self.steps
            ],
        }


def _slot_json(slot: Slot) -> list[Any]:
    return [slot.offset, list(slot.shape), slot.dtype]


def _port_json(port: Port) -> dict[str, Any]:
    slot = _slot_json(port.slot)
    bounds = {} if port.bounds is None else {"bounds": list(port.bounds)}
    head = {"name": port.name, "shape": list(port.shape), "dtype": port.dtype, "slot": slot}
    return {**head, **bounds}


def _slot(value: Any) -> Slot:
    offset, shape, dtype = value
    return Slot(int(offset), tuple(shape), str(dtype))


def _port(value: Any) -> Port:
    slot, bounds = _slot(value["slot"]), None
    if "bounds" in value:
        low, high = value["bounds"]
        bounds = int(low), int(high)
    return Port(value["name"], tuple(value["shape"]), value["dtype"], slot, bounds)


def plan_from_json(value: Any) -> Plan:
    """Inverse of `Plan.json`; KeyError, TypeError or ValueError if `value` is no plan."""
    steps = tuple(
        Step(
            step["layer"],
            step["function"],
            tuple(a if isinstance(a, str) else _slot(a) for a in step["arguments"]),
        )
        for step in value["steps"]
    )
    inputs, outputs = map(_port, value["inputs"]), map(_port, value["outputs"])
    return Plan(steps, int(value["arena"]), tuple(inputs), tuple(outputs))


def check_plan(plan: Plan) -> None:
    """ValueError or TypeError, naming what is wrong, if a buffer of `plan` is not in its arena."""
    if plan.arena < 0:
        raise ValueError(f"the arena has {plan.arena} bytes")
    for what, slot in _slots(plan):
        _check_kind(what, slot.shape, slot.dtype)
        end = slot.offset + prod(slot.shape) * np.dtype(slot.dtype).itemsize
        if not 0 <= slot.offset <= end <= plan.arena:
            raise ValueError(f"{what} takes bytes {slot.offset} to {end} of {plan.arena}")
    for port in (*plan.inputs, *plan.outputs):
        _check_kind(port.name, port.shape, port.dtype)
        if prod(port.shape) != prod(port.slot.shape):
            raise ValueError(f"{port.name} has shape {list(port.shape)}, its buffer another")


def _slots(plan: Plan) -> Iterator[tuple[str, Slot]]:
    """Every buffer, and in words what it is for."""
    for port in (*plan.inputs, *plan.outputs):
        yield f"the buffer of {port.name!r}", port.slot
    for step in plan.steps:
        for slot in step.arguments:
            if isinstance(slot, Slot):
                yield f"a buffer of layer {step.layer!r}", slot


def _check_kind(what: str, shape: tuple[int, ...], dtype: str) -> None:
    if not all(type(extent) is int and extent >= 0 for extent in shape) or len(shape) > 32:
        raise ValueError(f"{what} has the shape {list(shape)[:8]}")
    if np.dtype(dtype).kind not in "biuf":
        raise ValueError(f"{what} is {dtype}")
