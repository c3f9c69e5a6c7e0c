"""Rounds: the visit in the middle counts; a worker that dies takes only its own samples along."""

import os
import signal
from itertools import islice

from codesign.profiling.networks import network
from codesign.profiling.rounds import VISITS, Round, Seat
from codesign.profiling.samples import Sample, samples
from codesign.targets.tvm.target import Cpu
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool
from codesign.tune.timing import Limits

TARGET = Cpu()
QUICK = Limits(0.001, 2, 4)


def drawn(count: int) -> list[Sample]:
    many = (s for number in range(20) for s in samples(network(4, number)[0], TARGET))
    return list(islice((s for s in many if s.cost.macs < 1e6), count))


def test_the_visit_in_the_middle_counts_and_a_failure_before_all() -> None:
    (sample,) = drawn(1)
    assert Seat(sample).outcome.status == "lost"
    seat = Seat(sample)
    visits = [Outcome("ok", times) for times in ((3.0, 3.0), (1.0, 9.0, 1.0), (4.0, 2.0, 2.5))]
    seat.visits += visits
    assert seat.outcome == Outcome("ok", (2.0, 2.5)), "its faster half"
    hung = Outcome("hung")
    assert Seat(sample, failure=hung, visits=visits).outcome is hung
    assert not Seat(sample, failure=hung).there


def test_every_sample_is_visited_and_workers_are_left_empty() -> None:
    found = drawn(3)
    calls: list[int] = []

    def meanwhile() -> bool:
        calls.append(1)
        return True

    with Pool(TARGET.spec, 1) as pool:
        one = Round(pool, found, QUICK, meanwhile)
        one.run()
        assert not pool.busy and not any(worker.known for worker in pool.workers)
        assert calls, "there was time for other work while candidates were built"
    for seat, sample in zip(one.seats, found, strict=True):
        assert seat.sample is sample and len(seat.visits) == VISITS
        assert seat.outcome.status == "ok" and min(seat.outcome.seconds) > 0


class Dying(Round):
    """The process of the first seat is killed before the first visit."""

    done = False

    def _visit(self, seat: Seat) -> None:
        if not self.done:
            self.done = True
            os.kill(self.seats[0].process, signal.SIGKILL)
            while self.seats[0].there:
                self.pool.workers[0].process.poll()
                self._settle(work=False)
                self._prod()
        super()._visit(seat)

    def _prod(self) -> None:
        """A dead worker is noticed when it is spoken to."""
        worker = self.seats[0].worker
        assert worker is not None
        if worker.idle:
            worker.forget()


def test_a_worker_that_dies_takes_its_own_samples_along() -> None:
    with Pool(TARGET.spec, 1, most=1) as pool:
        one = Dying(pool, drawn(2), QUICK, lambda: False)
        one.run()
        assert {seat.outcome.status for seat in one.seats} == {"lost"}
        again = Round(pool, drawn(1), QUICK, lambda: False)
        again.run()
    assert again.seats[0].outcome.status == "ok"
