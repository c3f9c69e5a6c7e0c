"""A small machine that keeps the contract, and targets that each break one promise of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.errors import RefusedError
from codesign.interpret.integer import Codes
from codesign.ir.graph import Node
from codesign.ir.program import Point, Program
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Widths
from codesign.mapping.refusal import Refusal
from codesign.targets.spatial.kernel import Given, Host, Mapped
from codesign.targets.spatial.simulator import Simulator
from codesign.targets.spatial.target import Spatial

MACHINE = """
[machine]
name = "plain"
clock = "1 GHz"

[[memory]]
name = "dram"
holds = ["input", "weight", "output"]
width = "64 b"
read = "512 pJ"
write = "512 pJ"
flow = "64 b/cycle"

[[memory]]
name = "sums"
holds = ["output"]
capacity = "32 b"
width = "32 b"
read = "0.1 pJ"
write = "0.1 pJ"

[[axis]]
name = "lanes"
size = 4
unroll = ["c"]
sums = true

[datapath]
input = 8
weight = 8
accumulator = 32
mac = "0.5 pJ"
"""


@dataclass(frozen=True)
class Plain(Spatial):
    """Keeps everything."""

    name: ClassVar[str] = "plain"

    @cached_property
    def text(self) -> str:
        return MACHINE

    @property
    def given(self) -> Given:
        """What kernels start from."""
        return Given(self.text, self.objective, self.seconds)

    @classmethod
    def reopened(cls, machine: Path) -> Spatial:
        return cls()


class Generous(Simulator):
    """Sums of layers are too large."""

    def sums(self, node: Node) -> Codes:
        return super().sums(node) + 1000


@dataclass(frozen=True)
class WrongNumbers(Plain):
    """Computes something else."""

    name: ClassVar[str] = "wrong-numbers"

    def simulator(self, program: Program) -> Simulator:
        return Generous(program, self)


class Silent(Host):
    """Refuses without a word."""

    def refuse(self, group: Group) -> Refusal | None:
        return None if super().refuse(group) is None else Refusal("", "")


@dataclass(frozen=True)
class EmptyRefusal(Plain):
    """Has a kernel that does not say why."""

    name: ClassVar[str] = "empty-refusal"

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        return [Mapped(self.given, {}), Silent()]


class Endless(Mapped):
    """Takes forever."""

    def cost(self, group: Group, point: Point) -> LayerCost:
        return replace(super().cost(group, point), energy_uj=float("inf"))


class Falling(Mapped):
    """The more work, the faster."""

    def cost(self, group: Group, point: Point) -> LayerCost:
        return replace(super().cost(group, point), latency_ms=1 / group.macs)


class Unreadable(Mapped):
    """Keeps in its schedule what is another thing once it was text."""

    def default(self, group: Group) -> Point:
        return (*super().default(group), ("noise", float("nan")))

    def cost(self, group: Group, point: Point) -> LayerCost:
        return super().cost(group, super().default(group))


class Raising(Mapped):
    """Divides by zero."""

    def cost(self, group: Group, point: Point) -> LayerCost:
        raise ZeroDivisionError("no lanes")


@dataclass(frozen=True)
class Other(Plain):
    """Has another kernel for layers, and the host's, which is never asked about them."""

    kernel: ClassVar[type[Mapped]]

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        return [self.kernel(self.given, {}), Host()]


@dataclass(frozen=True)
class EndlessCost(Other):
    """Its costs are not finite."""

    name: ClassVar[str] = "endless-cost"
    kernel: ClassVar[type[Mapped]] = Endless


@dataclass(frozen=True)
class FallingCost(Other):
    """Its costs fall with more work."""

    name: ClassVar[str] = "falling-cost"
    kernel: ClassVar[type[Mapped]] = Falling


@dataclass(frozen=True)
class UnreadableText(Other):
    """Its programs do not read back."""

    name: ClassVar[str] = "unreadable-text"
    kernel: ClassVar[type[Mapped]] = Unreadable


@dataclass(frozen=True)
class RaisingCost(Other):
    """Its cost model fails."""

    name: ClassVar[str] = "raising-cost"
    kernel: ClassVar[type[Mapped]] = Raising


class Misspelt(Mapped):
    """Starts from an op that there is not."""

    anchors: ClassVar[frozenset[str]] = Mapped.anchors | {"conv-transpose"}


@dataclass(frozen=True)
class MisspeltAnchor(Other):
    """Has a kernel for nothing."""

    name: ClassVar[str] = "misspelt-anchor"
    kernel: ClassVar[type[Mapped]] = Misspelt


@dataclass(frozen=True)
class ForgetfulSpec(Plain):
    """Leaves its options out of its text."""

    name: ClassVar[str] = "forgetful-spec"

    seconds: float = 2.0

    @property
    def spec(self) -> str:
        return self.name


@dataclass(frozen=True)
class EmptyOffer(Plain):
    """Offers widths that it never takes."""

    name: ClassVar[str] = "empty-offer"

    def widths(self, kind: str) -> tuple[Widths, ...]:
        return (*super().widths(kind), (16, 16))


@dataclass(frozen=True)
class Fickle(Plain):
    """Does not take what it placed."""

    name: ClassVar[str] = "fickle"

    def verify(self, program: Program, layouts: bool = True) -> None:
        raise RefusedError("not any more")


@dataclass(frozen=True)
class Narrow(Plain):
    """Has accumulators of 12 bits, which saturate: no fault, but no comparison either."""

    name: ClassVar[str] = "narrow"

    @cached_property
    def text(self) -> str:
        return MACHINE.replace("accumulator = 32", "accumulator = 12")


TARGETS = (
    Plain, WrongNumbers, EmptyRefusal, EndlessCost, FallingCost, UnreadableText, RaisingCost,
    MisspeltAnchor, ForgetfulSpec, EmptyOffer, Fickle, Narrow,
)  # fmt: skip
TABLE = {cls.name: f"{cls.__module__}:{cls.__name__}" for cls in TARGETS}
