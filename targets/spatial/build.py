"""From a placed program to an artifact: the program itself, and the machine that runs it."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from codesign.analysis.in_float import in_float
from codesign.errors import RefusedError
from codesign.ir.program import Program
from codesign.ir.text import named_constants
from codesign.mapping.ports import ports
from codesign.runtime.built import Built, Library
from codesign.runtime.plan import ALIGNMENT, Plan, Slot
from codesign.runtime.simulated import MACHINE
from codesign.targets.spatial.kernel import Mapped
from codesign.targets.spatial.target import Spatial


@dataclass(frozen=True)
class MachineText:
    """What stands for code: the text of the machine that the program is for."""

    text: str
    name: str

    def save(self, folder: Path) -> Library:
        """Write it into `folder`."""
        path = folder / MACHINE
        path.write_text(self.text, encoding="utf-8")
        return Library(path, f"the simulator of {self.name}")

    def save_object(self, path: Path) -> None:
        """RefusedError: there is no code."""
        raise RefusedError(f"there is no code for {self.name} to send: it is simulated")


def build(program: Program, target: Spatial) -> Built:
    """A placed `program` as `target`'s simulator takes it; RefusedError if layers are no codes."""
    floats = [node.name for node in in_float(program.graph)]
    if floats:
        machine, names = target.machine.name, ", ".join(f"%{name}" for name in floats[:5])
        more = f" and {len(floats) - 5} more" if floats[5:] else ""
        raise RefusedError(
            f"{machine} multiplies codes, and these layers are in float: {names}{more}; "
            "give calibration data and assign-bits (only conv and linear layers with constant "
            "weights have codes), or use `codesign estimate`, which prices them as the widest codes"
        )
    layers = [a for a in program.placement if a.kernel == Mapped.name]
    constants = named_constants(program.graph)
    return Built(
        simulated_plan(program),
        MachineText(target.text, target.machine.name),
        {name: const.array for name, const in constants.items()},
        report={
            "simulated": True,
            "layers": len(layers),
            "outside": target.machine.memories[0].name,
            "densities": dict(target.densities),
        },
    )


def simulated_plan(program: Program) -> Plan:
    """Inputs and outputs, one behind the other; there are no steps to call."""
    end = 0

    def slot(value: str) -> Slot:
        nonlocal end
        kind = program.graph.types[value]
        start, dtype = end, np.dtype(kind.dtype.numpy)
        end += -(-prod(kind.shape) * dtype.itemsize // ALIGNMENT) * ALIGNMENT
        return Slot(start, kind.shape, dtype.name)

    inputs, outputs = ports(program.graph, slot)
    return Plan((), end, inputs, outputs)
