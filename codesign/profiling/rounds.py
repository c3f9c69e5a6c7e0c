"""A round of measurements: all workers build, then one candidate at a time runs on a quiet machine.

A candidate is visited several times, with all others in between, and the visit in the middle
counts: what else happens on the machine for a moment spoils one visit at most.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from codesign.profiling.samples import Sample
from codesign.tune.bare import unchecked
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool, Worker
from codesign.tune.timing import Limits

VISITS = 3
LOST = Outcome("lost", message="its worker was replaced")


@dataclass
class Seat:
    """A sample in a round, the worker process that holds it, and what came of its visits."""

    sample: Sample
    worker: Worker | None = None
    process: int = 0
    failure: Outcome | None = None
    visits: list[Outcome] = field(default_factory=list)

    @property
    def there(self) -> bool:
        """Whether the process that built it still holds it."""
        held = self.worker is not None and self.worker.process.pid == self.process
        return held and self.failure is None

    @property
    def outcome(self) -> Outcome:
        """The faster half of the visit in the middle, or why there is none."""
        if self.failure is not None:
            return self.failure
        order = sorted(map(_undisturbed, self.visits), key=lambda visit: median(visit.seconds))
        return order[len(order) // 2] if order else LOST


def _undisturbed(visit: Outcome) -> Outcome:
    """The faster half of its runs: what else a machine does only ever slows a run down."""
    return Outcome("ok", tuple(sorted(visit.seconds)[: (len(visit.seconds) + 1) // 2]))


@dataclass
class Round:
    """Measures `samples` with the workers of `pool`; what was visited counts if it is cut short."""

    pool: Pool
    samples: Sequence[Sample]
    limits: Limits
    meanwhile: Callable[[], bool]

    def __post_init__(self) -> None:
        self.seats = [Seat(sample) for sample in self.samples]

    def run(self) -> None:
        """Build all, visit all `VISITS` times, free them. `meanwhile` is called during builds.

        It says whether there was anything to do.
        """
        for seat in self.seats:
            self._prepare(seat, self._idle(work=True))
        self._settle(work=True)
        order = random.Random(0)
        for _ in range(VISITS):
            for seat in order.sample(self.seats, len(self.seats)):
                self._visit(seat)
        for worker in self.pool.workers:
            if worker.idle:
                worker.forget()
        self._settle(work=False)

    def _idle(self, work: bool) -> Worker:
        while not self.pool.idle:
            self._poll(work)
        return self.pool.idle[0]

    def _settle(self, work: bool) -> None:
        while self.pool.busy:
            self._poll(work)

    def _poll(self, work: bool) -> None:
        worked = work and self.meanwhile()
        self.pool.poll(0.001 if worked else 0.2)

    def _prepare(self, seat: Seat, worker: Worker) -> None:
        sample = seat.sample
        seat.worker, seat.process = worker, worker.process.pid

        def reply(outcome: Outcome) -> None:
            if outcome.status != "ok":
                seat.failure = outcome

        message = ("prepare", sample.task.work, sample.kernel, sample.point)
        self.pool.give(worker, unchecked(sample.task), message, reply)

    def _visit(self, seat: Seat) -> None:
        """Time a candidate while no other worker does anything."""
        self._settle(work=False)
        if not seat.there or seat.worker is None:
            return

        def reply(outcome: Outcome) -> None:
            if outcome.status == "ok":
                seat.visits.append(outcome)
            else:
                seat.failure = outcome

        message = ("time", seat.sample.task.work, seat.sample.kernel, self.limits)
        seat.worker.send(message, self.pool.seconds, reply)
        self._settle(work=False)
