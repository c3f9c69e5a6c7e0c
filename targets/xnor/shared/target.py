"""A core with one binary engine, which all binary layers share."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from codesign import spec
from codesign.errors import RefusedError, UsageError
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Program
from codesign.ir.text import named_constants
from codesign.ir.types import TensorType
from codesign.machine.load import read_machine
from codesign.mapping.emitted import Emitted
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel
from codesign.mapping.target import Hardware, Target
from codesign.runtime.built import Built
from codesign.targets.xnor.device import with_value
from codesign.targets.xnor.shared.machine import XNE, Shared, parse_shared

if TYPE_CHECKING:
    from codesign.targets.xnor.simulator import Simulator


@dataclass(frozen=True)
class Xne(Target):
    """A binary engine of 128 lanes beside a core (Conti et al., XNE, IEEE TCAD 2018).

    `file` is another engine's TOML file, `lanes` and `mhz` another size and clock of it.
    """

    name: ClassVar[str] = "xne"

    file: str = ""
    lanes: int = 0
    mhz: float = 0.0

    def __post_init__(self) -> None:
        if self.lanes < 0 or self.lanes > 1 << 16 or not 0 <= self.mhz < 1e6:
            raise UsageError(
                f"target xne: lanes is {self.lanes}, mhz is {self.mhz:g}, expected numbers over 0, "
                "or 0 for those of the file"
            )
        assert self.engine

    @cached_property
    def path(self) -> Path:
        """The engine's file."""
        return Path(self.file) if self.file else XNE

    @cached_property
    def text(self) -> str:
        """What the engine's file says, of the size and at the clock asked for."""
        found = read_machine(self.path)
        found = with_value(found, "lanes", str(self.lanes)) if self.lanes else found
        return with_value(found, "clock", f'"{self.mhz!r} MHz"') if self.mhz else found

    @cached_property
    def engine(self) -> Shared:
        """The engine."""
        return parse_shared(self.text, str(self.path))

    @property
    def hardware(self) -> Hardware:
        return asdict(self.engine), list(self.engine.lines())

    @property
    def spec(self) -> str:
        return spec.show(self.name, self)

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        from codesign.targets.xnor.shared.kernel import Core, Xnor

        engine = Xnor(self.engine)
        return [engine, Core(engine)]

    def tile(self, kind: TensorType) -> Tiled | None:
        return None

    def remarks(self, program: Program) -> tuple[str, ...]:
        core = [a for a in program.placement if a.kernel == "core"]
        groups = [Group(program.graph, program.nodes_of(a)) for a in core]
        found = [f"cycles, times and energies are those of a model of {self.engine.name}"]
        if groups:
            kinds = ", ".join(sorted({node.kind for group in groups for node in group.nodes}))
            found.append(f"left to the core, at no cost that is counted: {kinds}")
        macs = sum(group.macs for group in groups)
        if macs:
            found.append(f"{macs} multiplications are among them: no binary layers")
        return tuple(found)

    def unlinkable(self) -> str:
        return f"programs for {self.engine.name} run on its simulator"

    def build(self, program: Program) -> Built:
        from codesign.targets.spatial.build import MachineText, simulated_plan

        weights = {n: const.array for n, const in named_constants(program.graph).items()}
        code = MachineText(self.text, self.engine.name)
        layers = sum(a.kernel == "xne" for a in program.placement)
        report = {"simulated": True, "layers": layers, "densities": {}}
        return Built(simulated_plan(program), code, weights, report=report)

    def emitted(self, program: Program) -> Emitted:
        from codesign.targets.xnor.rtl.emit import emit_shared

        if not any(a.kernel == "xne" for a in program.placement):
            raise RefusedError(f"{program.graph.name} has no layer for the engine: no binary ones")
        return emit_shared(program, self)

    @classmethod
    def reopened(cls, machine: Path) -> "Xne":
        """The target that an artifact was compiled for, with the engine as it was then."""
        return cls(file=str(machine))

    def simulator(self, program: Program) -> "Simulator":
        """What computes a placed program."""
        from codesign.targets.xnor.shared.kernel import Blocked, shared_stage
        from codesign.targets.xnor.simulator import Simulator
        from codesign.targets.xnor.stages import Stage

        found = {}
        for assignment in program.placement:
            name = assignment.nodes[0]
            stage = shared_stage(program.graph, name) if assignment.kernel == "xne" else None
            if isinstance(stage, Stage):
                found[name] = Blocked(program.graph, stage, self.engine)
        return Simulator(program, found)
