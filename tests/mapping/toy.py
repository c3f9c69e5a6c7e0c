"""A target with a few kernels of known cost, to test placement and layouts by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Layouts
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target

TILE = Tiled(1, 4)
MOST = 3  # nodes in a group


class Toy(Kernel):
    """A kernel that takes `anchors`, costs `price` ms, and wants its values `side`."""

    price: ClassVar[float] = 1.0
    side: ClassVar[str] = "plain"  # or "blocked", "any"

    def refuse(self, group: Group) -> Refusal | None:
        if len(group.nodes) > MOST:
            return Refusal(f"at most {MOST} nodes", f"there are {len(group.nodes)}")
        if any(group.type(v).integer is not None for v in group.variables):
            return Refusal("numbers", "they are codes", "decode them")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        if self.side == "any":
            return None
        layout = TILE if self.side == "blocked" else None
        return dict.fromkeys((*group.variables, *group.outputs), layout)

    def default(self, group: Group) -> Point:
        return (("price", self.price),)

    def cost(self, group: Group, point: Point) -> LayerCost:
        return LayerCost(group.name, group.anchor.kind, self.name, 1, self.price, 1.0, 1.0, "none")


class Cheap(Toy):
    """relu, blocked."""

    name = "cheap"
    anchors = frozenset({"relu"})
    side = "blocked"


class Dear(Toy):
    """relu and neg, plain."""

    name = "dear"
    anchors = frozenset({"relu", "neg"})
    price = 2.0


class Agnostic(Toy):
    """add and clip in any layout."""

    name = "agnostic"
    anchors = frozenset({"add", "clip"})
    side = "any"


class Copy(Toy):
    """Layout conversions."""

    name = "copy"
    anchors = frozenset({"relayout"})

    def layouts(self, group: Group) -> Layouts | None:
        return {v: group.type(v).layout for v in (*group.variables, *group.outputs)}


@dataclass(frozen=True)
class ToyTarget(Target):
    """All kernels above."""

    name: ClassVar[str] = "toy"

    @property
    def spec(self) -> str:
        return self.name

    @cached_property
    def kernels(self) -> Sequence[Kernel]:
        return [Dear(), Cheap(), Agnostic(), Copy()]

    def tile(self, kind: TensorType) -> Tiled | None:
        return TILE if kind.rank >= 2 else None
