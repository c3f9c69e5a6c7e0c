"""Building, checking and timing one candidate, in the process of a worker."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from codesign.errors import CodesignError
from codesign.ir.graph import Graph
from codesign.ir.program import Assignment, Point
from codesign.mapping.target import Target
from codesign.runtime.execute import Executable
from codesign.runtime.library import load_library
from codesign.tune.outcome import Outcome
from codesign.tune.work import FLOAT_TOLERANCE, Arrays, Parcel, placed

COLD_BYTES = 6 << 20  # beyond a core's own cache: runs take turns over copies of this size in all
MOST_COPIES = 8
SECONDS = 0.03
REPEATS = (3, 60)
HOPELESS = 3.0  # a candidate so many times slower than the best is not timed again


@dataclass(frozen=True)
class Limits:
    """How long to time: at most `seconds`, between `least` and `most` runs."""

    seconds: float = SECONDS
    least: int = REPEATS[0]
    most: int = REPEATS[1]


class Candidate:
    """A built candidate: copies of it to take turns over, and the steps that are its own."""

    def __init__(self, executables: list[Executable], layer: str) -> None:
        self.turns: Iterator[Executable] = cycle(executables)
        self.first = executables[0]
        self.own = [i for i, step in enumerate(self.first.plan.steps) if step.layer == layer]

    def time(self) -> float:
        """Seconds that its steps take in one run."""
        steps = next(self.turns).time_steps(1)
        return sum(steps[i][0] for i in self.own)


@contextmanager
def built(
    parcel: Parcel, graph: Graph, target: Target, kernel: str, point: Point
) -> Iterator[Candidate]:
    """A candidate ready to be run, its library in a folder that goes with it."""
    choice = Assignment(kernel, parcel.nodes, point)
    program = placed(graph, parcel.nodes, target, choice)
    target.verify(program)
    made = target.build(program)
    with tempfile.TemporaryDirectory(prefix="codesign-tune-") as folder:
        library = load_library(made.code.save(Path(folder)).path)
        size = made.plan.arena + sum(array.nbytes for array in made.weights.values())
        copies = max(1, min(MOST_COPIES, -(-COLD_BYTES // max(size, 1))))
        executables = [
            Executable(made.plan, library, made.weights, target.threads) for _ in range(copies)
        ]
        for executable in executables:
            executable.bind(parcel.inputs)
        yield Candidate(executables, parcel.nodes[0])


def trial(
    parcel: Parcel,
    graph: Graph,
    target: Target,
    kernel: str,
    point: Point,
    best: float | None,
    limits: Limits,
) -> Outcome:
    """Build, check and time a candidate; hopeless ones, compared with `best`, only once."""
    try:
        with built(parcel, graph, target, kernel, point) as candidate:
            problem = wrong(candidate.first(parcel.inputs), parcel)
            if problem:
                return Outcome("wrong", message=problem)
            return Outcome("ok", tuple(_times(candidate, best, limits)))
    except CodesignError as error:
        return Outcome("failed", message=str(error))
    except Exception as error:  # noqa: BLE001  (whatever the compiler raises is this candidate's)
        return Outcome("failed", message=f"{type(error).__name__}: {error}"[:500])


def _times(candidate: Candidate, best: float | None, limits: Limits) -> list[float]:
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
