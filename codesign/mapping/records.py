"""What was measured of a device before, as placement and estimates ask for it."""

from dataclasses import dataclass
from typing import Protocol

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.mapping.group import Group


@dataclass(frozen=True)
class Known:
    """The best schedule that was found for some work, and its median latency in ms."""

    kernel: str
    point: Point
    latency_ms: float


class Records(Protocol):
    """Best schedules for one target on one device."""

    def best(self, work: str) -> Known | None:
        """The best schedule for work of this signature (see `workload.signature`), if known."""


class NoRecords:
    """Nothing was measured."""

    def best(self, work: str) -> Known | None:
        """None."""
        return None


class Correction(Protocol):
    """How a device departs from the cost models of a target's kernels."""

    def corrected(self, kernel: str, group: Group, point: Point, cost: LayerCost) -> LayerCost:
        """The modelled `cost` of `group` on `kernel` with `point` as the device would take it."""


class NoCorrection:
    """Models as they are."""

    def corrected(self, kernel: str, group: Group, point: Point, cost: LayerCost) -> LayerCost:
        """`cost`."""
        return cost


NO_RECORDS = NoRecords()
NO_CORRECTION = NoCorrection()
