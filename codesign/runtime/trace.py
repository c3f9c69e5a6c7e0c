"""Runs as a Chrome trace: a slice for each step, to be opened in about:tracing or Perfetto.

The format is the JSON object form of Google's Trace Event Format (complete events, microseconds).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codesign.runtime.compiled import Compiled

RUNS = 3
WARM_UP = 2
TOLD = ("op", "kernel", "macs", "bound", "latency_ms", "schedule", "nodes")


def chrome_trace(compiled: Compiled, seed: int = 0, runs: int = RUNS) -> dict[str, Any]:
    """`runs` runs on random inputs, one behind the other, after some that do not count.

    Every slice tells its layer, kernel, schedule and predicted ms.
    """
    columns = compiled.time_steps(runs + WARM_UP, seed)
    layers = {layer["name"]: layer for layer in compiled.report["layers"]}
    rows = list(zip(*columns, strict=True))[WARM_UP:]
    return {
        "traceEvents": [
            _named("process_name", f"{compiled.manifest.name} on {compiled.manifest.target}"),
            _named("thread_name", f"{compiled.threads} thread(s)"),
            *_slices(compiled, rows, layers),
        ],
        "displayTimeUnit": "ms",
    }


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": 1, "tid": 1, "name": kind, "args": {"name": name}}


def _slices(
    compiled: Compiled, rows: Sequence[Sequence[float]], layers: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """A slice for each run and, within it, one for each step."""
    now = 0.0
    base = {"ph": "X", "pid": 1, "tid": 1}
    for number, row in enumerate(rows):
        yield {**base, "name": f"run {number}", "cat": "run", "ts": now, "dur": sum(row) * 1e6}
        for step, seconds in zip(compiled.manifest.plan.steps, row, strict=True):
            layer = layers.get(step.layer, {})
            told = {key: layer[key] for key in TOLD if key in layer}
            took = seconds * 1e6
            args = {"function": step.function, **told}
            yield {**base, "name": step.layer, "cat": "layer", "ts": now, "dur": took, "args": args}
            now += took
