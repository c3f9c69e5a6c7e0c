"""The contract of a kernel: pattern, guard, layouts, cost, schedule space."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal

Layouts = Mapping[str, Tiled | None]
Widths = tuple[int, int]  # bits of a weight, bits of an activation


class Kernel(ABC):
    """One way to run a group of nodes on a target. `anchors` are the kinds of its first node."""

    name: ClassVar[str]
    anchors: ClassVar[frozenset[str]]
    widths: ClassVar[tuple[Widths, ...]] = ()  # of codes that it computes on; none: floats alone

    def reach(self, group: Group) -> Group:
        """The group that this kernel would run, from an anchor alone; more ops where it needs them.

        What it gives may still be refused.
        """
        return group

    @abstractmethod
    def refuse(self, group: Group) -> Refusal | None:
        """None if this kernel runs `group` with its types as they stand, layouts aside."""

    @abstractmethod
    def layouts(self, group: Group) -> Layouts | None:
        """The layout this kernel needs for each variable and result (None: plain).

        A value that is not named may have any layout. None instead of a mapping: any layout, but
        the same for all values of the result's rank (an agnostic kernel).
        """

    @abstractmethod
    def default(self, group: Group) -> Point:
        """The schedule to use without tuning."""

    def space(self, group: Group) -> Sequence[Point]:
        """All schedules worth trying."""
        return [self.default(group)]

    def explained(self, group: Group, point: Point) -> dict[str, Any]:
        """What there is to say of `point`, as a JSON object: `loop_nest`, `bound`, ...; or {}."""
        return {}

    @abstractmethod
    def cost(self, group: Group, point: Point) -> LayerCost:
        """What `group` costs with `point` on this kernel's target."""
