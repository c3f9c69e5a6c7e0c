"""What was measured of schedules before, as placement asks for it."""

from dataclasses import dataclass
from typing import Protocol

from codesign.ir.program import Point


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


NO_RECORDS = NoRecords()
