"""What a machine may say that costs do not follow yet."""

from collections.abc import Iterator

from codesign.errors import RefusedError
from codesign.machine.machine import Machine


def refuse(machine: Machine) -> None:
    """RefusedError, naming every key of `machine` that `evaluate` would pass over."""
    keys = list(_passed_over(machine))
    if keys:
        raise RefusedError(
            f"machine {machine.name} says {', '.join(keys)}, which the cost model does not follow; "
            "leave it out"
        )


def _passed_over(machine: Machine) -> Iterator[str]:
    for memory in machine.memories:
        if memory.sliding and machine.whole_tiles:
            yield f"memory {memory.name}.sliding beside whole_tiles"
    for axis in machine.axes:
        if any("*" in entry for entry in axis.unroll):
            yield f"axis {axis.name}.unroll of flattened loops"
