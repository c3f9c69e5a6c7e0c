"""Building, checking and timing one candidate, in the process of a worker."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codesign.ir.graph import Graph
from codesign.ir.program import Assignment, Point
from codesign.mapping.target import Target
from codesign.runtime.built import Built
from codesign.tune.bare import bare
from codesign.tune.outcome import Outcome, failure
from codesign.tune.remote import DeviceLostError, SessionBrokenError
from codesign.tune.work import FLOAT_TOLERANCE, Arrays, Parcel, placed

SECONDS = 0.03
REPEATS = (3, 60)
HOPELESS = 3.0  # a candidate so many times slower than the best is not timed again


@dataclass(frozen=True)
class Limits:
    """How long to time: at most `seconds`, between `least` and `most` runs."""

    seconds: float = SECONDS
    least: int = REPEATS[0]
    most: int = REPEATS[1]


class Candidate(Protocol):
    """A built candidate on some device."""

    def outputs(self, inputs: Arrays) -> Arrays:
        """What it makes of `inputs`."""

    def time(self) -> float:
        """Seconds that its own steps take in one run."""


class Bench(Protocol):
    """Where candidates run."""

    def load(self, made: Built, parcel: Parcel) -> AbstractContextManager[Candidate]:
        """A candidate ready to be run."""


@contextmanager
def built(
    parcel: Parcel, graph: Graph, target: Target, kernel: str, point: Point, bench: Bench
) -> Iterator[Candidate]:
    """A candidate, built and loaded on `bench`."""
    choice = Assignment(kernel, parcel.nodes, point)
    program = placed(graph, parcel.nodes, target, choice)
    target.verify(program)
    with bench.load(target.build(program), parcel) as candidate:
        yield candidate


@dataclass(frozen=True)
class Subject:
    """A task at a bench: what every trial and duel of it needs."""

    parcel: Parcel
    graph: Graph
    target: Target
    bench: Bench

    def built(self, kernel: str, point: Point) -> AbstractContextManager[Candidate]:
        """A candidate of the task."""
        return built(self.parcel, self.graph, self.target, kernel, point, self.bench)

    @contextmanager
    def bare(self, kernel: str, point: Point) -> Iterator[Candidate]:
        """A candidate of the task without the layouts around it, to be timed alone."""
        choice = Assignment(kernel, self.parcel.nodes, point)
        whole = placed(self.graph, self.parcel.nodes, self.target, choice)
        self.target.verify(whole)
        made = self.target.build(bare(whole, self.parcel.nodes))
        with self.bench.load(made, self.parcel) as candidate:
            yield candidate


def trial(
    subject: Subject, kernel: str, point: Point, best: float | None, limits: Limits
) -> Outcome:
    """Build, check and time a candidate; hopeless ones, compared with `best`, only once.

    One that breaks the session with its device gets a second, on another device if there is one.
    """
    try:
        try:
            return _tried(subject, kernel, point, best, limits)
        except SessionBrokenError:
            return _tried(subject, kernel, point, best, limits)
    except DeviceLostError as error:
        return Outcome("lost", message=str(error))
    except SessionBrokenError as error:
        return failure(error, "crashed")
    except Exception as error:  # noqa: BLE001  (whatever the compiler raises is this candidate's)
        return failure(error)


def _tried(
    subject: Subject, kernel: str, point: Point, best: float | None, limits: Limits
) -> Outcome:
    with subject.built(kernel, point) as candidate:
        problem = wrong(candidate.outputs(subject.parcel.inputs), subject.parcel)
        if problem:
            return Outcome("wrong", message=problem)
        return Outcome("ok", tuple(times(candidate, best, limits)))


def times(candidate: Candidate, best: float | None, limits: Limits) -> list[float]:
    """Seconds of runs within `limits`; few of one that is hopeless beside `best`."""
    candidate.time()  # the first run of a library loads its pages
    start = time.perf_counter()
    found = [candidate.time()]
    while len(found) < limits.least or (
        len(found) < limits.most and time.perf_counter() - start < limits.seconds
    ):
        if best is not None and len(found) >= 2 and min(found) > HOPELESS * best:
            break
        found.append(candidate.time())
    return found


def wrong(found: Arrays, parcel: Parcel) -> str:
    """How `found` departs from what is expected, empty if it does not."""
    for name, want in parcel.expected.items():
        have = found[name]
        if have.shape != want.shape or not np.isfinite(have).all() >= np.isfinite(want).all():
            return f"{name} has shape {have.shape} or values that are not finite"
        scale = float(np.abs(want).max(initial=0.0)) or 1.0
        gap = float(np.abs(have.astype(np.float64) - want).max(initial=0.0))
        if gap > FLOAT_TOLERANCE * scale:
            return f"{name} is off by {gap:.3g} of {scale:.3g}"
    return ""
