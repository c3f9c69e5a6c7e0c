"""Targets that a machine file describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from codesign import spec
from codesign.errors import UsageError
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.types import TensorType
from codesign.machine.load import load_machine
from codesign.mapping.kernel import Kernel
from codesign.mapping.target import Target

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
        if self.seconds <= 0:
            raise UsageError(f"target {self.name}: seconds is {self.seconds:g}, expected over 0")
        load_machine(self.path)

    @property
    def path(self) -> Path:
        """The machine file."""
        return MACHINES / f"{self.name}.toml"

    @property
    def spec(self) -> str:
        return spec.show(self.name, self)

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        from codesign.targets.spatial.kernel import Given, Host, Mapped

        given = Given(str(self.path), self.objective, self.seconds)
        return [Mapped(given), Host()]

    def tile(self, kind: TensorType) -> Tiled | None:
        return None


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
