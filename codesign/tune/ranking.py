"""Which points are the fastest of those that were measured.

A point that was measured several times counts with the median of its times, the slower of two, so
that one lucky measurement does not win. One that ever gave wrong numbers does not count at all.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Entry(NamedTuple):
    """A trial as far as ranking needs it; `point` is its text, `id` the order of storing.

    `ratio` is that of a duel that was won.
    """

    id: int
    task: str
    device: str
    kernel: str
    version: str
    point: str
    status: str
    seconds: float | None
    ratio: float | None = None

    @property
    def duel(self) -> bool:
        """Whether it tells of a duel that was won, and no trial."""
        return self.ratio is not None

    @property
    def measured(self) -> tuple[str, ...]:
        """What was measured: two trials of the same are repetitions."""
        return self[1:6]

    @property
    def contest(self) -> tuple[str, ...]:
        """Those that are equal in this are compared with each other."""
        return self[1:5]


def by_point(entries: Iterable[Entry]) -> dict[tuple[str, ...], list[Entry]]:
    """The repetitions of each point, in the order of storing."""
    found: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.measured, []).append(entry)
    return found


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """For each point that works its median trial, fastest first, then the one stored first."""
    found = []
    for trials in by_point(entries).values():
        times = sorted((t.seconds, t.id, t) for t in trials if t.seconds is not None)
        if times and not any(trial.status == "wrong" for trial in trials):
            found.append(times[len(times) // 2])
    return [entry for _, _, entry in sorted(found)]
