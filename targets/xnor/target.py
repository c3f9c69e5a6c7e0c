"""A streaming dataflow engine, one engine a layer, on a programmable device."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from codesign import spec
from codesign.analysis.estimate import Estimate
from codesign.errors import RefusedError, UsageError
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Assignment, Program
from codesign.ir.types import TensorType
from codesign.machine.load import read_machine
from codesign.mapping.emitted import Emitted
from codesign.mapping.kernel import Kernel, Widths
from codesign.mapping.target import Hardware, Target
from codesign.runtime.built import Built
from codesign.targets.xnor.device import Device, device_path, parse_device, with_value

if TYPE_CHECKING:
    from codesign.targets.xnor.engine import Design
    from codesign.targets.xnor.layer import Fold
    from codesign.targets.xnor.simulator import Simulator
    from codesign.targets.xnor.stages import Stage


@dataclass(frozen=True)
class Finn(Target):
    """A streaming engine for each layer, folded to fit a device (Umuroglu et al., FINN, 2017).

    `device` is zc706, zynq7020, zu3eg or a TOML file of one; `folding` a file with PE and SIMD of
    each layer, without which they are searched for: as fast as fits, or the smallest that makes
    `rate` images a second. `mhz` is the clock, if not the device's own.
    """

    name: ClassVar[str] = "finn"

    device: str = "zc706"
    folding: str = ""
    rate: float = 0.0
    mhz: float = 0.0

    def __post_init__(self) -> None:
        for key in ("rate", "mhz"):
            if not 0 <= getattr(self, key) < 1e12:
                raise UsageError(
                    f"target {self.name}: {key} is {getattr(self, key):g}, expected over 0, or 0 "
                    "for as much as there is"
                )
        assert self.board

    @cached_property
    def text(self) -> str:
        """What the device's file says, at the clock asked for."""
        found = read_machine(device_path(self.device))
        return with_value(found, "clock", f'"{self.mhz!r} MHz"') if self.mhz else found

    @cached_property
    def board(self) -> Device:
        """The device."""
        return parse_device(self.text, str(device_path(self.device)))

    @property
    def hardware(self) -> Hardware:
        return asdict(self.board), list(self.board.lines())

    @property
    def spec(self) -> str:
        return spec.show(self.name, self)

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        from codesign.targets.xnor.kernel import KERNELS, Host

        return [*(kernel(self.board) for kernel in KERNELS), Host()]

    @property
    def floats(self) -> bool:
        return False

    @property
    def minimizes(self) -> frozenset[str]:
        return frozenset()  # a folding is balanced over the network; a layer more may be faster

    def widths(self, kind: str) -> tuple[Widths, ...]:
        from codesign.targets.xnor.kernel import OFFERED
        from codesign.targets.xnor.stages import LAYERS

        return OFFERED if kind in LAYERS else ()

    def tile(self, kind: TensorType) -> Tiled | None:
        return None

    def choose_kernels(self, program: Program) -> Program:
        """`program` without layouts, with an engine for every stage and all layers folded."""
        from codesign.targets.xnor.kernel import to_point

        placed = super().choose_kernels(program)
        folds = self.folded(placed)
        placement = tuple(
            Assignment(a.kernel, a.nodes, to_point(folds[a.nodes[0]])) if a.nodes[0] in folds else a
            for a in placed.placement
        )
        return replace(placed, placement=placement)

    def folded(self, placed: Program) -> Mapping[str, "Fold"]:
        """The folding of each layer; RefusedError if the smallest does not fit."""
        from codesign.targets.xnor.whole import folded

        return folded(placed, self)

    def stages(self, placed: Program) -> list["Stage"]:
        """The stages that run on engines, in the order of the graph."""
        from codesign.targets.xnor.kernel import Host
        from codesign.targets.xnor.stages import Stage, stages

        known = stages(placed.graph)
        found = []
        for assignment in placed.placement:
            if assignment.kernel != Host.name:
                stage = known[assignment.nodes[0]]
                if not isinstance(stage, Stage):
                    raise RefusedError(f"%{assignment.nodes[0]}: {stage}")
                found.append(stage)
        return found

    def design(self, placed: Program) -> "Design":
        """Engines and streams of a placed program, FIFOs sized."""
        from codesign.targets.xnor.timing import sized
        from codesign.targets.xnor.whole import plain_design

        return sized(plain_design(placed, self))

    def estimate(self, program: Program) -> Estimate:
        from codesign.targets.xnor.costs import estimate

        return estimate(program, self)

    def verify(self, program: Program, layouts: bool = True) -> None:
        from codesign.targets.xnor.whole import plain_design

        super().verify(program, layouts)
        plain_design(program, self)

    def unlinkable(self) -> str:
        return f"a design for {self.board.name} runs on its simulator"

    def build(self, program: Program) -> Built:
        from codesign.targets.xnor.build import build

        return build(program, self)

    def emitted(self, program: Program) -> Emitted:
        from codesign.targets.xnor.rtl.emit import emit_streaming

        if not self.stages(program):
            raise RefusedError(
                f"{program.graph.name} has no layer on engines; there is no hardware"
            )
        return emit_streaming(program, self)

    @classmethod
    def reopened(cls, machine: Path) -> "Finn":
        """The target that an artifact was compiled for, with the device as it was then."""
        return cls(device=str(machine))

    def simulator(self, program: Program) -> "Simulator":
        """What computes a placed program."""
        from codesign.targets.xnor.simulator import Simulator
        from codesign.targets.xnor.whole import computers

        return Simulator(program, computers(program, self))
