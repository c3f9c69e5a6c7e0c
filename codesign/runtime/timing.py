"""Timing a compiled program: whole runs for some seconds, and layer by layer."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from codesign.runtime.compiled import Compiled

FEWEST, MOST = 10, 10_000
LAYER_REPEATS = 30


def time_runs(compiled: Compiled, seconds: float, seed: int = 0) -> list[float]:
    """Seconds of each of as many runs as fill `seconds`, but at least ten."""
    once = median(compiled.time(3, seed=seed))
    repeats = min(MOST, max(FEWEST, round(seconds / max(once, 1e-9))))
    return compiled.time(repeats, seed=seed)


def percentiles(runs: Sequence[float]) -> dict[str, float]:
    """Median, 10th and 90th percentile of `runs` (seconds) in ms."""
    p10, middle, p90 = np.percentile(np.asarray(runs) * 1e3, (10, 50, 90))
    return {"median": float(middle), "p10": float(p10), "p90": float(p90)}


def time_layers(compiled: Compiled, seed: int = 0) -> list[dict[str, Any]]:
    """Each layer's name, kernel, predicted and measured ms (median), in execution order."""
    found: dict[str, float] = defaultdict(float)
    columns = compiled.time_steps(LAYER_REPEATS, seed)
    for step, seconds in zip(compiled.manifest.plan.steps, columns, strict=True):
        found[step.layer] += median(seconds) * 1e3
    return [
        {
            "name": layer["name"],
            "kernel": layer["kernel"],
            "predicted_ms": layer["latency_ms"],
            "measured_ms": found.get(layer["name"], 0.0),
        }
        for layer in compiled.report["layers"]
    ]
