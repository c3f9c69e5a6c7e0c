"""Timing each layer of a program on this machine."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.ir.program import Program
from codesign.runtime.execute import Executable
from codesign.runtime.folder import scratch_folder
from codesign.runtime.host import architecture, features
from codesign.runtime.library import load_library
from codesign.runtime.random_inputs import random_inputs
from codesign.targets.tvm.target import Cpu

WARM_UP, REPEATS = 3, 11


def runs_here(target: Cpu) -> bool:
    """True if this machine has the architecture and the instructions of `target`."""
    isa = target.instructions
    return isa.architecture == architecture() and set(isa.requires) <= features()


def measure(program: Program, target: Cpu) -> Estimate | None:
    """The estimate of `program` with measured latencies (medians); None if it cannot run here."""
    if not runs_here(target):
        return None
    seconds = _seconds(program, target)
    layers = target.estimate(program).layers
    return Estimate(tuple(_timed(x, seconds.get(x.name, 0.0)) for x in layers))


def _timed(layer: LayerCost, seconds: float) -> LayerCost:
    return replace(layer, latency_ms=seconds * 1e3, origin="measured", error=None)


def _seconds(program: Program, target: Cpu) -> dict[str, float]:
    """Median time of each layer that takes any."""
    built = target.build(program)
    with scratch_folder() as folder:
        library = load_library(built.code.save(Path(folder)).path)
    executable = Executable(built.plan, library, built.weights, target.threads)
    executable.bind(random_inputs(built.plan.inputs, seed=0))
    executable.time_steps(WARM_UP)
    found: dict[str, float] = defaultdict(float)
    for step, times in zip(built.plan.steps, executable.time_steps(REPEATS), strict=True):
        found[step.layer] += median(times)
    return found
