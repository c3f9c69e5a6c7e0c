"""Activation encodings from the ranges that values take over calibration data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.analysis.ranges import Histogram, Method, clipping, merged, observe
from codesign.errors import UsageError
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.passes.quantize import scales
from codesign.passes.quantize.regions import Regions
from codesign.rewrite.context import Context, Dataset

DEAD = 2.0**-24  # of the widest range: what is narrower is rounding noise of the float network


def check_options(who: str, percentile: float, samples: int) -> None:
    """UsageError unless these are options of a calibration."""
    if not 50 < percentile <= 100:
        raise UsageError(f"{who}: percentile is {percentile}, expected 50 to 100")
    if samples < 1:
        raise UsageError(f"{who}: samples is {samples}, expected at least 1")


@dataclass(frozen=True)
class Spans:
    """Histograms of the values that share an encoding, by their root; `form` clips them."""

    histograms: Mapping[str, Histogram]
    method: Method
    percentile: float

    @cached_property
    def _known(self) -> dict[tuple[str, int], tuple[float, float]]:
        return {}

    def span(self, root: str, levels: int) -> tuple[float, float]:
        """The range of class `root` that `levels` codes cover."""
        key = root, levels
        if key not in self._known:
            found = clipping(self.histograms[root], self.method, self.percentile, levels)
            self._known[key] = found
        return self._known[key]

    @cached_property
    def least(self) -> float:
        """The least scale: what is narrower holds nothing."""
        spans = [self.span(root, 256) for root in self.histograms]
        return max(max(high, -low) for low, high in spans) / 255 * DEAD

    def form(self, root: str, width: int) -> Int:
        """The codes of `width` bits of class `root`."""
        return scales.activation(*self.span(root, 1 << width), width, self.least)

    def forms(self, regions: Regions, widths: Mapping[str, int]) -> dict[str, Int]:
        """The encoding of every value that is codes in `regions`, by the `widths` of the roots."""
        found = {root: self.form(root, width) for root, width in widths.items()}
        return {value: found[regions.root(value)] for value in regions.codes}


def spans(
    graph: Graph,
    regions: Regions,
    data: Dataset,
    samples: int,
    how: tuple[Method, float],
    context: Context,
    who: str,
) -> Spans:
    """What the classes of `regions` span over at most `samples` of `data`; `who` asks."""
    from codesign.interpret.evaluate import Interpreter

    classes = regions.classes()
    values = sorted({v for members in classes.values() for v in members})
    interpreter = Interpreter(graph)
    count = min(samples, data.size)

    def traces() -> Iterator[dict[str, np.ndarray]]:
        for i, sample in enumerate(data.batches(graph, count)):
            context.progress(f"{who}: calibrating", i / count)
            yield interpreter.collect(sample, values)

    found = observe(traces, values)
    together = {root: merged([found[v] for v in members]) for root, members in classes.items()}
    return Spans(together, *how)
