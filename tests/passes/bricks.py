"""A target whose layers take as long as their widths multiply to, to test who asks for widths."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.ops import OPS
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Layouts, Widths
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target

LAYERS = frozenset({"conv", "linear"})
FLOAT_BITS = 32


@dataclass(frozen=True)
class Brick(Kernel):
    """Layers on codes of `offered` widths, or on floats of 32 bits; element-wise ops are free."""

    offered: tuple[Widths, ...]
    macs_per_ms: float
    energy: bool

    name: ClassVar[str] = "brick"
    anchors: ClassVar[frozenset[str]] = LAYERS

    @property
    def widths(self) -> tuple[Widths, ...]:  # type: ignore[override]
        return self.offered

    def refuse(self, group: Group) -> Refusal | None:
        w, a = self.bits(group)
        if (w, a) != (FLOAT_BITS, FLOAT_BITS) and (w, a) not in self.offered:
            return Refusal(f"widths {w} and {a}", f"it has {self.offered}", "use those")
        return None

    def bits(self, group: Group) -> Widths:
        """Bits of weight and activation."""
        kinds = (group.input_type(1), group.input_type(0))
        w, a = (k.integer.width if k and k.integer else FLOAT_BITS for k in kinds)
        return w, a

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        w, a = self.bits(group)
        cycles = group.macs * w * a / 64
        energy = cycles * 1e-6 if self.energy else None
        ms = cycles / self.macs_per_ms
        return LayerCost(
            group.name, group.anchor.kind, self.name, group.macs, ms, cycles, 1.0, "compute", energy
        )


@dataclass(frozen=True)
class Rest(Kernel):
    """Everything else, for nothing."""

    name: ClassVar[str] = "rest"
    anchors: ClassVar[frozenset[str]] = frozenset(OPS) - LAYERS

    def refuse(self, group: Group) -> Refusal | None:
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        return LayerCost(group.name, group.anchor.kind, self.name, 0, 0.0, 0.0, 1.0, "none", 0.0)


ALL = tuple((w, a) for w in (2, 4, 8, 16) for a in (2, 4, 8, 16))


@dataclass(frozen=True)
class Bricks(Target):
    """An array of 2-bit bricks (Sharma et al., Bit Fusion, ISCA 2018) in one line."""

    name: ClassVar[str] = "bricks"

    offered: tuple[Widths, ...] = ALL
    macs_per_ms: float = 1e5
    energy: bool = True

    @property
    def spec(self) -> str:
        return self.name

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        return [Brick(self.offered, self.macs_per_ms, self.energy), Rest()]

    def tile(self, kind: TensorType) -> Tiled | None:
        return None
