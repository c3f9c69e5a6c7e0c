"""What a compiled program does when it runs: calls into a library over one arena of memory."""

from dataclasses import dataclass
from typing import Any

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
