"""What a pass may ask for: target, data, seed, progress; and where it leaves its notes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from codesign.analysis.estimate import Estimate
from codesign.errors import DataError, UnknownNameError, UsageError
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.progress import Progress, silent

Batch = Mapping[str, np.ndarray]


class Target(Protocol):
    """What a pass sees of a target."""

    @property
    def spec(self) -> str:
        """The text that names this target, options included."""

    @property
    def floats(self) -> bool:
        """Whether layers may stay in float."""

    @property
    def counts_zeros(self) -> bool:
        """Whether costs depend on how many elements of feature maps are zero."""

    def seen(self, densities: Mapping[str, float]) -> Self:
        """This target, pricing values by their names with these shares that are not zero."""

    @property
    def accumulator(self) -> int:
        """Bits that sums of products of codes have to fit."""

    def widths(self, kind: str) -> tuple[tuple[int, int], ...]:
        """The (weight, activation) bits that are offered for ops of `kind`; none: floats alone."""

    def choose_kernels(self, program: Program) -> Program:
        """`program` with the cheapest kernel for every op, layouts open."""

    def choose_layouts(self, program: Program) -> Program:
        """A placed `program` with a layout for every value."""

    def place(self, program: Program) -> Program:
        """`program` with a kernel for every op and layouts chosen, as it would run."""

    def estimate(self, program: Program) -> Estimate:
        """What each layer of a placed program costs."""

    def measure(self, program: Program) -> Estimate | None:
        """Measured cost of each layer of a placed program; None where it cannot run here."""

    def verify(self, program: Program, layouts: bool = True) -> None:
        """RefusedError unless every kernel still takes its nodes, and `layouts` if asked."""


@dataclass(frozen=True)
class Dataset:
    """Inputs by name, first axis the samples, and class labels if there are any."""

    inputs: Batch
    labels: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(next(iter(self.inputs.values())))

    def part(self, start: int, stop: int) -> "Dataset":
        """Samples `start` to `stop` - 1."""
        labels = None if self.labels is None else self.labels[start:stop]
        return Dataset({name: array[start:stop] for name, array in self.inputs.items()}, labels)

    def first(self, count: int) -> "Dataset":
        """The first `count` samples."""
        return self.part(0, count)

    def halves(self, batch: int) -> tuple["Dataset", "Dataset"]:
        """The first half and the rest, in whole batches; all twice where that is one batch."""
        middle = self.size // batch // 2 * batch
        if not middle:
            return self, self
        return self.part(0, middle), self.part(middle, self.size)

    def spread(self, count: int) -> "Dataset":
        """`count` samples from all over, in order: neighbours are often of one class or scene."""
        if count >= self.size:
            return self
        chosen = np.arange(count) * self.size // count
        labels = None if self.labels is None else self.labels[chosen]
        return Dataset({name: array[chosen] for name, array in self.inputs.items()}, labels)

    def batches(self, graph: Graph, count: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Inputs for `graph`, as many samples at a time as its batch, at most `count` of them.

        DataError if names or shapes do not match the graph's inputs.
        """
        self.check(graph)
        size = graph.types[graph.inputs[0]].shape[0]
        for start in range(0, min(self.size, count or self.size) // size * size, size):
            yield {name: self.inputs[name][start : start + size] for name in graph.inputs}

    def check(self, graph: Graph) -> None:
        """Raise DataError unless every input of `graph` has samples of its shape here."""
        if set(self.inputs) != set(graph.inputs):
            given, wanted = sorted(self.inputs), sorted(graph.inputs)
            raise DataError(f"the data has arrays {given}, but the model takes {wanted}")
        for name in graph.inputs:
            have, want = self.inputs[name].shape, graph.types[name].shape
            if have[1:] != want[1:] or have[0] < want[0] or have[0] != self.size:
                raise DataError(
                    f"data for input {name!r} has shape {list(have)}, but the model takes "
                    f"{list(want)}: expected {_samples_of(want)}"
                )


def _samples_of(shape: tuple[int, ...]) -> str:
    """What shape data must have for an input of `shape`: [samples, 1, 28, 28]."""
    text = f"[{', '.join(['samples', *map(str, shape[1:])])}]"
    return text if shape[0] == 1 else f"{text} with at least {shape[0]} samples"


@dataclass(frozen=True)
class Note:
    """A decision a pass made or did not make on one layer, and why."""

    layer: str
    text: str
    done: bool = True


@dataclass
class Context:
    """What a pass may need and nothing else. `notes` collects the decisions of the running pass.

    `remarks` are what it says of the whole. `score_samples` is how many samples the ledger scores,
    0 for all, None for its own choice. `zeros` are shares that were counted of late. `training` is
    data to train on, `original` the network as it was before the first pass.
    """

    target: Target | None = None
    calibration: Dataset | None = None
    validation: Dataset | None = None
    seed: int = 0
    progress: Progress = silent
    notes: list[Note] = field(default_factory=list)
    score_samples: int | None = None
    remarks: list[str] = field(default_factory=list)
    zeros: list[tuple[Any, Mapping[str, float]]] = field(default_factory=list)
    training: Dataset | None = None
    original: Graph | None = None

    def need_target(self, who: str) -> Target:
        """The target, or UsageError saying that `who` needs one."""
        if self.target is None:
            raise UsageError(f"{who} asks the target for costs; give one with --target")
        return self.target

    def need_calibration(self, who: str) -> Dataset:
        """The calibration data, or UsageError saying that `who` needs some."""
        if self.calibration is None:
            raise UsageError(
                f"{who} needs calibration data; give an .npz of inputs with --calibration"
            )
        return self.calibration

    def need_training(self, who: str) -> Dataset:
        """The training data, or UsageError saying that `who` needs some."""
        if self.training is None:
            raise UsageError(
                f"{who} needs training data; give an .npz of inputs, and `labels` if there are "
                "any, with --training"
            )
        return self.training

    def check(self, needs: Iterable[str], who: str) -> None:
        """UsageError unless what pass `who` says that it needs is here."""
        checks = {
            "calibration": self.need_calibration,
            "target": self.need_target,
            "training": self.need_training,
        }
        for need in sorted(needs):
            if need not in checks:
                raise UnknownNameError(f"need of pass {who}", need, checks)
            checks[need](who)

    def note(self, layer: str, text: str, done: bool = True) -> None:
        """Record a decision on `layer`; `done` False for one that was not taken."""
        self.notes.append(Note(layer, text, done))

    def remark(self, text: str) -> None:
        """Say in the ledger what became of the whole program."""
        self.remarks.append(text)
