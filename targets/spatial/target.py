"""Targets that a machine file describes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from codesign import spec
from codesign.errors import UsageError
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.machine.load import parse_machine, read_machine
from codesign.machine.machine import Machine
from codesign.mapping.kernel import Kernel, Widths
from codesign.mapping.target import Hardware, Target
from codesign.runtime.built import Built

if TYPE_CHECKING:
    from codesign.targets.spatial.simulator import Simulator

MULTIPLY = frozenset({"conv", "linear", "matmul", "einsum"})
MACHINES = Path(__file__).parent / "machines"


@dataclass(frozen=True)
class Spatial(Target):
    """An array of elements under memories.

    `objective` is what mappings are chosen for (`machine`: as the machine's own policy says),
    `seconds` how long the search for one layer may go on.
    """

    name: ClassVar[str]

    objective: Literal["machine", "latency", "energy", "edp"] = "machine"
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError(f"target {self.name}: seconds is {self.seconds:g}, expected over 0")
        assert self.machine

    @property
    def path(self) -> Path:
        """The machine file."""
        return MACHINES / f"{self.name}.toml"

    @property
    def where(self) -> str:
        """What messages call the text of the machine."""
        return str(self.path)

    @cached_property
    def text(self) -> str:
        """What the machine file says."""
        return read_machine(self.path)

    @cached_property
    def machine(self) -> Machine:
        """The machine."""
        return parse_machine(self.text, self.where)

    @property
    def hardware(self) -> Hardware:
        from codesign.machine.facts import facts, lines

        return facts(self.machine), list(lines(self.machine))

    @property
    def spec(self) -> str:
        return spec.show(self.name, self)

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        from codesign.targets.spatial.kernel import Given, Host, Mapped

        given = Given(self.text, self.objective, self.seconds)
        return [Mapped(given, self.densities), Host()]

    @property
    def densities(self) -> Mapping[str, float]:
        """Shares of values that are not zero, by name, where some were `seen`."""
        found: Mapping[str, float] = self.__dict__.get("_densities", {})
        return found

    @property
    def counts_zeros(self) -> bool:
        path = self.machine.datapath
        return bool(path.spares) or any(m.packed for m in self.machine.memories)

    def seen(self, densities: Mapping[str, float]) -> Self:
        twin = replace(self)  # with kernels of its own
        object.__setattr__(twin, "_densities", dict(densities))
        return twin

    @property
    def accumulator(self) -> int:
        return min(ACCUMULATOR_BITS, self.machine.datapath.accumulator)

    @property
    def floats(self) -> bool:
        return False

    @property
    def minimizes(self) -> frozenset[str]:
        if self.objective != "machine":
            return super().minimizes
        order = self.machine.mapping.order
        return frozenset(takewhile(super().minimizes.__contains__, order))

    def tile(self, kind: TensorType) -> Tiled | None:
        return None

    def remarks(self, program: Program) -> tuple[str, ...]:
        from codesign.targets.spatial.remarks import remarks

        return tuple(remarks(program, self))

    def unlinkable(self) -> str:
        return f"programs for {self.machine.name} run on its simulator"

    def build(self, program: Program) -> Built:
        from codesign.targets.spatial.build import build

        return build(program, self)

    @classmethod
    def reopened(cls, machine: Path) -> "Spatial":
        """The target that an artifact was compiled for, with the machine as it was then."""
        return MachineFile(file=str(machine))

    def simulator(self, program: Program) -> "Simulator":
        """What computes a placed program."""
        from codesign.targets.spatial.simulator import Simulator

        return Simulator(program, self)

    def widths(self, kind: str) -> tuple[Widths, ...]:
        path = self.machine.datapath
        return tuple(sorted(product(path.weight, path.input))) if kind in MULTIPLY else ()


@dataclass(frozen=True)
class MachineFile(Spatial):
    """The machine that the TOML file `file` describes; `--target file.toml` is short for it."""

    name: ClassVar[str] = "machine"

    file: str = ""

    @property
    def path(self) -> Path:
        if not self.file:
            raise UsageError("target machine needs option file, a machine's TOML file")
        return Path(self.file)


@dataclass(frozen=True)
class Eyeriss(Spatial):
    """Eyeriss, 168 elements, row-stationary, 16 bits (Chen et al., JSSC 2017)."""

    name: ClassVar[str] = "eyeriss"


@dataclass(frozen=True)
class EyerissV2(Spatial):
    """One processing element of Eyeriss v2, which skips zeros of both operands (JETCAS 2019)."""

    name: ClassVar[str] = "eyeriss_v2"


@dataclass(frozen=True)
class BitFusion(Spatial):
    """Bit Fusion, 16 x 32 multipliers of 2 to 16 bits (Sharma et al., ISCA 2018)."""

    name: ClassVar[str] = "bitfusion"


@dataclass(frozen=True)
class TpuV1(Spatial):
    """Google's first TPU, 256 x 256 elements of 8 bits (Jouppi et al., ISCA 2017)."""

    name: ClassVar[str] = "tpu_v1"
