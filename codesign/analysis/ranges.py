"""Ranges of values over calibration data, and the clipping range that each method picks.

Methods: `minmax`; `percentile`; `mse` (least mean squared error of the rounded values, searched
over shrunken ranges); `entropy` (least Kullback-Leibler divergence of the clipped, rounded
histogram from the original one; Migacz, "8-bit inference with TensorRT", 2017).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codesign.errors import DataError

Method = Literal["minmax", "percentile", "entropy", "mse"]
BINS = 2048
Traces = Callable[[], Iterator[Mapping[str, np.ndarray]]]


@dataclass(frozen=True)
class Histogram:
    """Counts of a value's elements in `BINS` equal bins between `low` and `high`."""

    low: float
    high: float
    counts: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        """The middle of each bin."""
        width = (self.high - self.low) / BINS
        return self.low + width * (np.arange(BINS) + 0.5)


def observe(traces: Traces, values: Collection[str]) -> dict[str, Histogram]:
    """Histograms of `values` over the samples of `traces()`, which is run twice.

    Each sample maps every value to its array. DataError if a value is not finite.
    """
    lows = dict.fromkeys(values, np.inf)
    highs = dict.fromkeys(values, -np.inf)
    for sample in traces():
        for value in values:
            lows[value] = float(np.minimum(lows[value], sample[value].min()))
            highs[value] = float(np.maximum(highs[value], sample[value].max()))
    for value in values:
        if not np.isfinite(lows[value] + highs[value]):
            raise DataError(
                f"%{value} is not finite for some calibration sample: it reaches from "
                f"{lows[value]} to {highs[value]}; check the samples and the model's weights"
            )
    counts = {value: np.zeros(BINS, np.int64) for value in values}
    for sample in traces():
        for value in values:
            counts[value] += _counts(sample[value], lows[value], highs[value])
    return {v: Histogram(lows[v], _above(lows[v], highs[v]), counts[v]) for v in values}


def _counts(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """np.histogram over equal bins, by arithmetic: several times faster."""
    width = (_above(low, high) - low) / BINS
    bins = ((array.reshape(-1) - low) * np.float32(1 / width)).astype(np.int32)
    counts: np.ndarray = np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
    return counts


def _above(low: float, high: float) -> float:
    return high if high > low else low + max(abs(low), 1.0) * 1e-6


def merged(histograms: Collection[Histogram]) -> Histogram:
    """One histogram of several values that will share a range."""
    if len(histograms) == 1:
        return next(iter(histograms))
    low, high = min(h.low for h in histograms), max(h.high for h in histograms)
    total = np.zeros(BINS, np.int64)
    for h in histograms:
        total += np.histogram(h.centres, BINS, (low, high), weights=h.counts)[0].astype(np.int64)
    return Histogram(low, high, total)


def clipping(
    histogram: Histogram, method: Method, percentile: float, levels: int
) -> tuple[float, float]:
    """The range (low, high) that `method` keeps for `levels` codes."""
    if method == "percentile":
        return _percentile(histogram, percentile)
    if method == "minmax":
        return histogram.low, histogram.high
    score = _squared_error if method == "mse" else _divergence
    ranges = _shrunken(histogram)
    return min(ranges, key=lambda span: score(histogram, span[0], span[1], levels))


def _percentile(h: Histogram, percentile: float) -> tuple[float, float]:
    share = np.cumsum(h.counts) / max(h.counts.sum(), 1)
    tail = 1 - percentile / 100
    width = (h.high - h.low) / BINS
    low = h.low + width * int(np.searchsorted(share, tail, "right"))
    high = h.low + width * (int(np.searchsorted(share, 1 - tail, "left")) + 1)
    return (low, high) if high > low else (h.low, h.high)


def _shrunken(h: Histogram) -> Iterator[tuple[float, float]]:
    """The whole range, then ranges that lose up to 80 % of the longer side, zero kept inside."""
    low, high = min(h.low, 0.0), max(h.high, 0.0)
    reach = max(-low, high)
    for keep in np.linspace(1.0, 0.2, 41):
        yield max(low, -reach * keep), min(high, reach * keep)


def _rounded(h: Histogram, low: float, high: float, levels: int) -> np.ndarray:
    step = max((high - low) / (levels - 1), 1e-30)
    rounded: np.ndarray = np.clip(np.rint((h.centres - low) / step), 0, levels - 1)
    return rounded


def _squared_error(h: Histogram, low: float, high: float, levels: int) -> float:
    step = max((high - low) / (levels - 1), 1e-30)
    error = h.centres - (low + _rounded(h, low, high, levels) * step)
    return float((error**2 * h.counts).sum())


def _divergence(h: Histogram, low: float, high: float, levels: int) -> float:
    """Divergence of the histogram from its clipped and rounded self, spread over filled bins.

    The bin of zero, which is kept exactly, does not count: after a relu it would outweigh all.
    """
    level = _rounded(h, low, high, levels).astype(np.int64)
    counts = h.counts.copy()
    if h.low <= 0 <= h.high:
        counts[min(int(-h.low / (h.high - h.low) * BINS), BINS - 1)] = 0
    if not counts.any():
        return 0.0
    filled = counts > 0
    mass = np.bincount(level, counts, levels)
    share = np.bincount(level[filled], minlength=levels)
    spread = np.where(filled, mass[level] / np.maximum(share[level], 1), 0.0)
    inside = (h.centres >= low) & (h.centres <= high)
    spread = np.where(filled & ~inside, 1e-3, spread)
    p, q = counts / counts.sum(), spread / spread.sum()
    return float((p[filled] * np.log(p[filled] / q[filled])).sum())
