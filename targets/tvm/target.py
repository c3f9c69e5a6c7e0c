"""The CPU target: kernels for one instruction set, built by TVM."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from codesign import spec
from codesign.analysis.estimate import Estimate
from codesign.errors import UsageError
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.mapping.kernel import Kernel
from codesign.mapping.target import Target
from codesign.runtime.built import Built
from codesign.runtime.limits import MOST_THREADS
from codesign.targets.tvm.cost import Machine
from codesign.targets.tvm.host import host_isa
from codesign.targets.tvm.isa import Isa, isa


@dataclass(frozen=True)
class Cpu(Target):
    """A CPU. `isa` is its instruction set (`host`: that of this machine), `threads` 1 to 1024."""

    name: ClassVar[str] = "cpu"

    isa: str = "host"
    threads: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise UsageError(f"target cpu: threads is {self.threads}, expected 1 to {MOST_THREADS}")
        object.__setattr__(self, "isa", host_isa() if self.isa == "host" else isa(self.isa).name)

    @property
    def spec(self) -> str:
        return spec.show(self.name, self)

    @cached_property
    def instructions(self) -> Isa:
        """The instruction set by which kernels choose their code."""
        return isa(self.isa)

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        from codesign.targets.tvm.patterns.table import KERNELS

        machine = Machine(threads=self.threads)
        return [kernel(self.instructions, machine) for kernel in KERNELS]

    def tile(self, kind: TensorType) -> Tiled | None:
        from codesign.targets.tvm.kernels.shapes import default_block

        if kind.rank < 3:
            return None
        if kind.grid is not None and kind.grid.code_bits <= 8:
            return Tiled(1, -(-kind.shape[1] // 16) * 16)
        return Tiled(1, default_block(self.instructions))

    def build(self, program: Program) -> Built:
        from codesign.targets.tvm.cache import built

        return built(program, self)

    def runs_here(self) -> bool:
        from codesign.targets.tvm.measure import runs_here

        return runs_here(self)

    def unlinkable(self) -> str:
        from codesign.targets.tvm.link import linkers, no_linker

        machine = self.instructions.architecture
        return "" if any(linkers(machine)) else no_linker(machine)

    def measure(self, program: Program) -> Estimate | None:
        from codesign.targets.tvm.cache import measured

        return measured(program, self)
