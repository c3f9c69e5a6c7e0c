"""The demo: one network compiled three ways, each judged by accuracy, size and speed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

from codesign.compiler import compile_job, prepare
from codesign.demo.data import Samples, load_calibration, load_test
from codesign.ir.program import Program
from codesign.progress import Progress
from codesign.rewrite.context import Dataset
from codesign.rewrite.score import accuracy
from codesign.runtime.artifact import open_artifact
from codesign.runtime.batches import run_samples
from codesign.runtime.compiled import Compiled
from codesign.runtime.manifest import WEIGHTS

INPUT = "x"
VARIANTS = {"fp32": "default", "int8": "int8", "pruned + factorized + int8": "small"}
ROUNDS = 60
ROUND_SECONDS = 0.004


@dataclass(frozen=True)
class Outcome:
    """One contender: accuracy on the test images, bytes on disk, median latency in ms.

    `weight_bytes` is the file of weights alone, `file_bytes` everything, code included. `call` runs
    it on one image.
    """

    name: str
    accuracy: float
    weight_bytes: int
    file_bytes: int
    call: Callable[[], object]
    latency_ms: float = 0.0
    ledger: tuple[dict[str, Any], ...] = ()

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "call"}
        return {**shown, "ledger": list(self.ledger)}


def load_demo() -> Program:
    """The demo's network as a program, for one image at a time."""
    from codesign.demo.network import example
    from codesign.model import load

    model, example_inputs = example()
    return load(model, example_inputs)


def dataset(samples: Samples) -> Dataset:
    """Images and labels in the form that passes take."""
    return Dataset({INPUT: samples.images}, samples.labels)


def run_variant(
    name: str, program: Program, target: str, folder: Path, progress: Progress
) -> Outcome:
    """Compile the network by the recipe of variant `name`, save it, open it again, judge it."""
    test = load_test()
    job = prepare(
        program,
        target,
        recipe=VARIANTS[name],
        calibration=dataset(load_calibration()),
        validation=dataset(test),
        progress=progress,
    )
    saved = compile_job(job).save(folder)
    compiled = open_artifact(saved)
    return Outcome(
        name,
        judge(compiled, test),
        (saved / WEIGHTS).stat().st_size,
        sum(entry.stat().st_size for entry in saved.iterdir()),
        compiled.timed.run,
        ledger=tuple(compiled.report["ledger"]),
    )


def race(outcomes: Sequence[Outcome], rounds: int = ROUNDS) -> list[Outcome]:
    """`outcomes` with the medians of their latencies, all timed in turn, round by round.

    What disturbs the machine for longer than a round so falls on all alike.
    """
    counts = [max(1, round(ROUND_SECONDS / seconds_of(one.call, 3))) for one in outcomes]
    times: list[list[float]] = [[] for _ in outcomes]
    for _ in range(rounds):
        for one, count, found in zip(outcomes, counts, times, strict=True):
            one.call()
            found.append(seconds_of(one.call, count))
    pairs = zip(outcomes, times, strict=True)
    return [replace(one, latency_ms=median(found) * 1e3) for one, found in pairs]


def seconds_of(call: Callable[[], object], count: int) -> float:
    """Mean seconds of one of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def judge(compiled: Compiled, test: Samples) -> float:
    """Share of the test images that the compiled network gets right."""
    outputs = run_samples(compiled, {INPUT: test.images})
    return accuracy(next(iter(outputs.values())), test.labels)
