"""What all kernels of the TVM CPU target share."""

from abc import abstractmethod
from dataclasses import asdict
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel
from codesign.targets.tvm.cost import RATE, Machine, roofline
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.isa import Isa

Schedule = TypeVar("Schedule")


class CpuKernel(Kernel):
    """A kernel that becomes a TIR function for one instruction set.

    `efficiency` is the share of peak arithmetic that it reaches on large problems, `rate` the GB/s
    at which a thread reads its operands and writes its results, epilogue included.
    """

    efficiency: ClassVar[float] = 0.8
    rate: ClassVar[float] = RATE

    def __init__(self, isa: Isa, machine: Machine) -> None:
        self.isa = isa
        self.machine = machine

    @abstractmethod
    def emit(self, group: Group, point: Point) -> Emitted:
        """The function that runs `group` with the schedule `point`."""

    def default(self, group: Group) -> Point:
        """No choices."""
        return ()

    def padding(self, group: Group) -> float:
        """Arithmetic that this kernel does over what `group` needs (padded channels): >= 1."""
        return 1.0

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Roofline of arithmetic and memory traffic."""
        efficiency = self.efficiency / self.padding(group)
        return roofline(self.machine, self.isa, self.name, group, efficiency, self.rate)


def padded(extent: int, multiple: int) -> float:
    """How much larger `extent` gets when it is rounded up to a multiple."""
    return -(-extent // multiple) * multiple / extent


@cache
def default_point(module: ModuleType, shape: Any, isa: Isa) -> Point:
    """The schedule that a kernel's `module` takes for `shape` without tuning."""
    return to_point(module.default(shape, isa))


def to_point(schedule: Any) -> Point:
    """A schedule dataclass as the generic point of a program."""
    return tuple(asdict(schedule).items())


def from_point(cls: type[Schedule], point: Point) -> Schedule:
    """Inverse of `to_point`."""
    return cls(**dict(point))
