"""Candidates on this machine: in this process, taking turns over copies so that caches are cold."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from codesign.runtime.built import Built
from codesign.runtime.execute import Executable
from codesign.runtime.folder import scratch_folder
from codesign.runtime.library import load_library
from codesign.tune.work import Arrays, Parcel

OBJECT = "candidate.o"
ROOM = 8 << 20  # bytes for the object file of one candidate
COLD_BYTES = 6 << 20  # beyond a core's own cache: runs take turns over copies of this size in all
MOST_COPIES = 8


class LocalCandidate:
    """A built candidate: copies of it to take turns over, and the steps that are its own."""

    def __init__(self, executables: list[Executable], layer: str) -> None:
        self.turns: Iterator[Executable] = cycle(executables)
        self.first = executables[0]
        self.own = [i for i, step in enumerate(self.first.plan.steps) if step.layer == layer]

    def outputs(self, inputs: Arrays) -> Arrays:
        """What it makes of `inputs`."""
        return self.first(inputs)

    def time(self) -> float:
        """Seconds that its steps take in one run."""
        steps = next(self.turns).time_steps(1)
        return sum(steps[i][0] for i in self.own)


class Local:
    """This machine."""

    @contextmanager
    def load(self, made: Built, parcel: Parcel) -> Iterator[LocalCandidate]:
        """A candidate ready to be run, its library in a folder that goes with it."""
        with scratch_folder(ROOM) as folder:
            library = load_library(_functions(made, Path(folder)))
            size = made.plan.arena + sum(array.nbytes for array in made.weights.values())
            copies = max(1, min(MOST_COPIES, -(-COLD_BYTES // max(size, 1))))
            executables = [
                Executable(made.plan, library, made.weights, made.threads) for _ in range(copies)
            ]
            for executable in executables:
                executable.bind(parcel.inputs) if parcel.inputs else executable.fill()
            yield LocalCandidate(executables, parcel.nodes[0])


def _functions(made: Built, folder: Path) -> Path:
    """A file of the functions that can be opened, unlinked: linking takes as long as compiling."""
    made.code.save_object(folder / OBJECT)
    return folder / OBJECT
