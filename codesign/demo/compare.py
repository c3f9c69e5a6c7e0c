"""The demo: one network compiled three ways, each judged by accuracy, size and speed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.compiler import compile_job, prepare
from codesign.demo.data import Samples, load_calibration, load_test
from codesign.ir.program import Program
from codesign.rewrite.context import Dataset
from codesign.rewrite.score import accuracy
from codesign.runtime.artifact import open_artifact
from codesign.runtime.batches import run_samples
from codesign.runtime.compiled import Compiled
from codesign.runtime.manifest import WEIGHTS
from codesign.runtime.timing import percentiles, time_runs

INPUT = "x"
VARIANTS = {"fp32": "default", "int8": "int8", "pruned + factorized + int8": "small"}
BENCH_SECONDS = 1.0
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Outcome:
    """One contender: accuracy on the test images, bytes on disk, median latency in ms.

    `weight_bytes` is the file of weights alone, `file_bytes` everything, code included.
    """

    name: str
    accuracy: float
    weight_bytes: int
    file_bytes: int
    latency_ms: float
    ledger: tuple[dict[str, Any], ...] = ()

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


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
        percentiles(time_runs(compiled, BENCH_SECONDS))["median"],
        tuple(compiled.report["ledger"]),
    )


def judge(compiled: Compiled, test: Samples) -> float:
    """Share of the test images that the compiled network gets right."""
    outputs = run_samples(compiled, {INPUT: test.images})
    return accuracy(next(iter(outputs.values())), test.labels)
