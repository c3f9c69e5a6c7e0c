"""How well a graph still does what it should: accuracy on labels, or the ratio to the original."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.ir.graph import Graph
from codesign.rewrite.context import Dataset
from codesign.rewrite.rebatch import batch_of, rebatch

ACCURACY_SAMPLES = 1024
SNR_SAMPLES = 64
BATCH = 64
Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Score:
    """`accuracy` is the share of right answers, `snr_db` decibels; None where it is not known.

    Both are of the first `samples` of the `samples_of` there are.
    """

    accuracy: float | None = None
    snr_db: float | None = None
    samples: int = 0
    samples_of: int = 0


class Scorer:
    """Scores graphs that descend from `original`, in the interpreter.

    With labels the score is the accuracy on up to 1,024 samples, without them the signal-to-noise
    ratio of the outputs against those of `original` on up to 64; `limit` samples if it is given,
    all if it is 0.
    """

    def __init__(self, original: Graph, data: Dataset | None, limit: int | None = None) -> None:
        self.original = original
        self.data = data
        self.limit = limit

    @cached_property
    def reference(self) -> dict[str, np.ndarray]:
        """What the original graph answers."""
        assert self.data is not None
        return self.answers(self.original, self.data, SNR_SAMPLES)

    def answers(self, graph: Graph, data: Dataset, usual: int) -> dict[str, np.ndarray]:
        """What `graph` answers on the samples that count: `usual` of them if nothing was asked."""
        limit = usual if self.limit is None else self.limit or data.size
        return answers(graph, data, limit)

    def __call__(self, graph: Graph) -> Score:
        """The score of `graph`; empty without data."""
        if self.data is None:
            return Score()
        if self.data.labels is None:
            found = self.answers(graph, self.data, SNR_SAMPLES)
            count = len(next(iter(found.values())))
            return Score(None, snr_db(self.reference, found), count, self.data.size)
        found = self.answers(graph, self.data, ACCURACY_SAMPLES)
        first = found[graph.output_names[0]]
        return Score(accuracy(first, self.data.labels), None, len(first), self.data.size)


def answers(graph: Graph, data: Dataset, limit: int) -> dict[str, np.ndarray]:
    """Outputs of the interpreter on up to `limit` samples, by name, first axis the samples."""
    from codesign.interpret.evaluate import Interpreter

    count = min(limit, data.size)
    wide = wider(graph, data, count)
    if wide is None:
        return run_all(Interpreter(graph), graph, data.first(count))
    whole = count // BATCH * BATCH or count
    found = run_all(Interpreter(wide), wide, data.first(whole))
    if whole == count:
        return found
    rest = run_all(Interpreter(graph), graph, data.part(whole, count))
    return {name: np.concatenate([found[name], rest[name]]) for name in found}


def run_all(run: Run, graph: Graph, data: Dataset) -> dict[str, np.ndarray]:
    """Outputs of `run`, which takes inputs as `graph` does, on whole batches of the data."""
    found = [run(batch) for batch in data.batches(graph)]
    return {
        name: np.concatenate([np.atleast_1d(one[name]) for one in found])
        for name in graph.output_names
    }


def wider(graph: Graph, data: Dataset, count: int) -> Graph | None:
    """`graph` over more samples at a time, if that was seen to give the same answers."""
    from codesign.interpret.evaluate import Interpreter

    if batch_of(graph) != 1 or count < 2:
        return None
    wide, pair = rebatch(graph, min(BATCH, count)), rebatch(graph, 2)
    if wide is None or pair is None:
        return None
    together = run_all(Interpreter(pair), pair, data.first(2))
    alone = run_all(Interpreter(graph), graph, data.first(2))
    same = all(
        np.allclose(together[name], alone[name], rtol=1e-3, atol=1e-4, equal_nan=True)
        for name in alone
    )
    return wide if same else None


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of samples whose largest output is at its label."""
    guessed = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return float((guessed == labels[: len(outputs)]).mean())


def snr_db(reference: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
    """Decibels of all outputs' power over that of their difference; at most 200."""
    signal = noise = 0.0
    for name, want in reference.items():
        exact = want.astype(np.float64)
        signal += float((exact**2).sum())
        noise += float(((found[name].astype(np.float64) - exact) ** 2).sum())
    if noise <= signal * 1e-20:
        return 200.0
    return float(10 * np.log10(max(signal, 1e-300) / noise))
