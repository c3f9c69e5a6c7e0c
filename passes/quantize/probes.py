"""What sensitivity is measured on: a few samples, as many at a time as memory allows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from codesign.errors import DataError
from codesign.ir.graph import Graph
from codesign.passes.quantize.offers import Pair
from codesign.rewrite.context import Dataset
from codesign.rewrite.score import BATCH, wider

ROOM = 1 << 30  # bytes for the values of one run


@dataclass(frozen=True)
class Errors:
    """Noise at the outputs over their signal, where one thing alone is in codes.

    `weights`: the weight of a layer, by its width. `values`: the values of a class, by root and
    width. Rounding errors are uncorrelated, so that those of a layer at a pair of widths add up;
    values that several layers read count once.
    """

    weights: Mapping[tuple[str, int], float]
    values: Mapping[tuple[str, int], float]

    def alone(self, layer: str, root: str | None, pair: Pair) -> float:
        """The noise of `layer` at `pair`, with that of the class `root` that it reads, if given."""
        values = 0.0 if root is None else self.values[root, pair[1]]
        return self.weights[layer, pair[0]] + values

    def scaled(self, signal: float) -> "Errors":
        """These errors over `signal`; DataError if it is not finite."""
        if not np.isfinite(signal):
            raise DataError(
                "outputs are not finite for some calibration sample; check samples and weights"
            )
        both = (
            {k: v / max(signal, 1e-300) for k, v in e.items()} for e in (self.weights, self.values)
        )
        return Errors(*both)


def runs(graph: Graph, data: Dataset, count: int) -> Iterator[tuple[Graph, dict[str, np.ndarray]]]:
    """Graphs and inputs that together are `count` samples from all over the data."""
    data = data.spread(count)
    count = data.size
    values = [kind for name, kind in graph.types.items() if name not in graph.constants]
    most = max(1, min(count, BATCH, ROOM // max(1, 4 * sum(kind.size for kind in values))))
    together = max(n for n in range(1, most + 1) if count % n == 0)
    wide = wider(graph, data, together)
    if wide is None:
        for batch in data.batches(graph, count):
            yield graph, batch
        return
    for batch in data.batches(wide, count):
        yield wide, batch
