"""Bare candidates that a worker holds ready, so that they are timed when nothing is compiled."""

from contextlib import ExitStack

from codesign.ir.program import Point
from codesign.tune.outcome import Outcome, failure
from codesign.tune.timing import Candidate, Limits, Subject, times


class Shelf:
    """Candidates by work and kernel, from `prepare` to `drop`."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Candidate] = {}
        self._stack = ExitStack()

    def prepare(self, subject: Subject, kernel: str, point: Point) -> Outcome:
        """Build a candidate; ok if it is there and has run once."""
        try:
            candidate = self._stack.enter_context(subject.bare(kernel, point))
            self._held[subject.parcel.work, kernel] = candidate
            return Outcome("ok", (candidate.time(),))
        except Exception as error:  # noqa: BLE001  (whatever the compiler raises is this candidate's)
            return failure(error)

    def time(self, work: str, kernel: str, limits: Limits) -> Outcome:
        """Seconds of runs of a candidate that was prepared."""
        return Outcome("ok", tuple(times(self._held[work, kernel], None, limits)))

    def drop(self) -> Outcome:
        """Free all candidates."""
        self._held.clear()
        self._stack.close()
        return Outcome("ok")
