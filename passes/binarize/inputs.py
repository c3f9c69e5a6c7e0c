"""The codes of one to three bits that layers read, with steps from calibration data."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from codesign.analysis.ranges import Histogram, observe
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.rewrite.context import Context, Dataset

SHARES = np.geomspace(1 / 64, 1.0, 49)  # of the step that clips nothing
LEAST = 1e-12


def seen(
    graph: Graph, values: Collection[str], data: Dataset, samples: int, context: Context, who: str
) -> dict[str, Histogram]:
    """Histograms of `values` over at most `samples` of `data`."""
    from codesign.interpret.evaluate import Interpreter

    interpreter, count = Interpreter(graph), min(samples, data.size)
    chosen = data.spread(count)

    def traces() -> Iterator[Mapping[str, np.ndarray]]:
        for i, sample in enumerate(chosen.batches(graph)):
            context.progress(f"{who}: calibrating", i / count)
            yield interpreter.collect(sample, sorted(values))

    return observe(traces, values)


def input_form(histogram: Histogram, bits: int, unsigned: bool, scaled: bool) -> Grid:
    """Codes of `bits` bits for what `histogram` counts.

    One bit is a sign, its scale the mean magnitude (Rastegari et al., XNOR-Net, 2016, eq. 6) or 1;
    codes 0 and 1 if `unsigned` (Zhou et al., DoReFa-Net, 2016, section 2.4). Steps have the least
    squared error.
    """
    if bits == 1 and not unsigned:
        mean = float((np.abs(histogram.centres) * histogram.counts).sum())
        mean /= max(int(histogram.counts.sum()), 1)
        return Binary(Const(max(mean, LEAST), "float32")) if scaled else Binary()
    form = Int(bits, signed=not unsigned)
    reach = max(histogram.high, -histogram.low, LEAST)
    steps = reach / max(form.high, 1) * SHARES
    best = min(steps, key=lambda step: _error(histogram, form, float(step)))
    return Int(bits, Const(max(best, LEAST), "float32"), signed=not unsigned)


def _error(h: Histogram, form: Int, step: float) -> float:
    """The squared error of rounding what `h` counts to multiples of `step`."""
    rounded = np.clip(np.rint(h.centres / step), form.low, form.high) * step
    return float(((rounded - h.centres) ** 2 * h.counts).sum())
