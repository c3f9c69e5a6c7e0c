"""Widths chosen layer by layer beside one width for all, on Bit Fusion at equal quality.

python -m benchmarks.assign_bits [--quick] [--only PATTERN] [--json FILE]

For a signal-to-noise ratio of the outputs: modelled latency of the fastest single width that keeps
it, over that of what assign-bits finds for it. The ratios are those of 16, 8 and 4 bits for all
themselves, and round ones between. Ratios count on half of the calibration data, to the other half
of which rounding is fitted (as assign-bits does); `held_out_db` has them on data that nothing was
chosen by. The demo network is calibrated on its Fashion-MNIST training images and held to test
images, EfficientNet-Lite0 (real weights) on crops of scikit-image's photos and held to foolbox's.
Nothing is timed but the search.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

import codesign
from benchmarks import cpu_accuracy, torch_zoo
from benchmarks.common import Options, Row, parse_options, publish, say
from codesign.compiler import prepare, run_passes
from codesign.demo import data as demo_data
from codesign.demo.network import example
from codesign.ir.graph import Graph
from codesign.passes.quantize.assign_bits import AssignBits
from codesign.passes.quantize.search import SNR_SAMPLES, Found, Search
from codesign.rewrite.context import Dataset
from codesign.rewrite.score import answers, snr_db

TARGET = "bitfusion"
GOAL = 1.25
BETWEEN = (10.0, 15.0, 20.0, 25.0)  # dB


@dataclass(frozen=True)
class Case:
    """A network, and images [samples, channels, height, width] to choose by and to look at."""

    module: object
    inputs: tuple[object, ...]
    calibration: np.ndarray
    held_out: np.ndarray


def demo() -> Case:
    """The demo network on Fashion-MNIST."""
    module, inputs = example()
    test = demo_data.load_test().images[:SNR_SAMPLES]
    return Case(module, inputs, demo_data.load_calibration().images, test)


def efficientnet() -> Case:
    """EfficientNet-Lite0 on photos."""
    module, inputs = torch_zoo.load("efficientnet-lite0")
    crops = np.concatenate(list(cpu_accuracy.crops()))
    return Case(module, inputs, crops, cpu_accuracy.photos()[0])


CASES = {"demo": demo, "efficientnet_lite0": efficientnet}


def searched(case: Case) -> Search:
    """The programme of all widths that the target offers the layers of a network."""
    program = codesign.load(case.module, example_inputs=case.inputs)
    entry = program.graph.inputs[0]
    given = {entry: case.calibration}
    job = prepare(program, TARGET, passes=["assign-bits"], calibration=given).unscheduled()
    step = AssignBits()
    before = replace(job, passes=[one for one in job.passes if one.name != step.name])
    plan = step.plan(run_passes(before), job.context)
    assert plan is not None
    errors = step.errors(plan, job.context)
    target, data = job.context.need_target(step.name), step.judges(plan.graph, job.context)
    return Search(plan, errors, "latency", step.rounds, target, data, job.context, step.name)


def rows(name: str, case: Case, between: tuple[float, ...]) -> Iterator[Row]:
    """The figures of one network."""
    start = time.perf_counter()
    search = searched(case)
    uniforms, seen = search.uniforms, _held_out(search, case)
    say(f"{name}: {time.perf_counter() - start:.0f} s for costs and errors")
    for width, one in uniforms.items():
        detail = {"db": round(one.snr_db, 2), "held_out_db": seen(one.graph)}
        yield Row(f"{name} {width} bits for all", one.cost, "ms (modelled)", detail=detail)
    own = {f"the ratio of {width} bits": one.snr_db for width, one in uniforms.items() if width > 2}
    for what, floor in {**own, **{f"{db:g} dB": db for db in between}}.items():
        start = time.perf_counter()
        kept = [one for one in uniforms.values() if one.snr_db >= floor]
        if not kept:
            continue
        fastest = min(kept, key=lambda one: one.cost)
        found = search.best("cost", 10 ** (-floor / 10), fastest)
        assert found is not None
        detail = {
            "uniform_bits": next(width for width, one in uniforms.items() if one is fastest),
            "uniform_ms": round(fastest.cost, 5),
            "assigned_ms": round(found.cost, 5),
            "db": round(found.snr_db, 2),
            "held_out_db": seen(found.graph),
            "widths": _widths(found),
            "seconds": round(time.perf_counter() - start, 1),
        }
        say(f"{name} at {what}: {detail}")
        yield Row(f"{name} at {what}", fastest.cost / found.cost, "x", GOAL, ">=", detail)


def _held_out(search: Search, case: Case) -> Callable[[Graph], float]:
    """What tells the ratio of a graph on data that nothing was chosen by."""
    graph = search.plan.graph
    data = Dataset({graph.inputs[0]: case.held_out})
    exact = answers(graph, data, SNR_SAMPLES)

    def ratio(coded: Graph) -> float:
        return round(snr_db(exact, answers(coded, data, SNR_SAMPLES)), 2)

    return ratio


def _widths(found: Found) -> str:
    """How many layers have which bits of weights x activations."""
    counts = Counter(found.chosen.values())
    return ", ".join(f"{n} of {w}x{a}" for (w, a), n in sorted(counts.items(), reverse=True))


def main(argv: list[str] | None = None) -> None:
    """Search and publish."""
    options: Options = parse_options("assign_bits", __doc__ or "", argv)
    found: list[Row] = []
    for name, make in CASES.items():
        if options.selects(name) and not (options.quick and name != "demo"):
            found += rows(name, make(), BETWEEN[2:3] if options.quick else BETWEEN)
    publish(options, found, {"target": TARGET, "snr_samples": SNR_SAMPLES})


if __name__ == "__main__":
    main(sys.argv[1:])
