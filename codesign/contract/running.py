"""Building a placed program for a target, running it, and comparing it with the interpreter."""

from pathlib import Path

import numpy as np

from codesign.contract.rows import BrokenError, DeclinedError, NotRunError
from codesign.errors import ArtifactError, RefusedError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.ir.text import print_program
from codesign.mapping.target import Target
from codesign.runtime.compiled import Compiled, check_machine
from codesign.runtime.folder import scratch_folder
from codesign.tune.work import FLOAT_TOLERANCE, Arrays, random_inputs

TOLERANCE = FLOAT_TOLERANCE  # of the largest magnitude of an output in float


def compare(program: Program, target: Target, exact: bool) -> None:
    """Run a placed `program` on random inputs; BrokenError unless it computes what it means.

    `exact` asks for equal bits, else outputs may be off by `TOLERANCE` of the largest.
    DeclinedError where sums saturate in accumulators that are narrower than the interpreter's,
    NotRunError where nothing is built or what is built is for another machine.
    """
    inputs = random_inputs(program.graph, np.random.default_rng(0))
    want = expected(program.graph, inputs)
    have, saturated = outputs(program, target, inputs)
    wrong = difference(want, have, exact)
    if wrong and saturated:
        raise DeclinedError(f"{saturated} sums saturate in the accumulators of {target.spec}")
    if wrong:
        raise BrokenError(wrong)


def expected(graph: Graph, inputs: Arrays) -> Arrays:
    """What the interpreter makes of `inputs`."""
    codes = any(graph.types[value].integer for value in graph.types)
    return (evaluate_integer if codes else evaluate)(graph, inputs)


def outputs(program: Program, target: Target, inputs: Arrays) -> tuple[Arrays, int]:
    """What `target` makes of `inputs`, and how many sums saturated, by its simulator's count."""
    try:
        built = target.build(program)
    except RefusedError as error:
        raise NotRunError(str(error)) from None
    with scratch_folder() as folder:
        library = built.code.save(Path(folder))
        manifest = built.manifest(program.graph.name, target.spec, library)
        compiled = Compiled(manifest, built.weights, print_program(program), {}, library.path)
        try:
            check_machine(manifest)
        except ArtifactError as error:
            raise NotRunError(str(error)) from None
        found = compiled.run(dict(inputs))
    return found, compiled.counts.get("saturated", 0)


def difference(want: Arrays, have: Arrays, exact: bool) -> str:
    """How `have` departs from `want`; empty if it does not."""
    if list(want) != list(have):
        return f"the outputs are {', '.join(have)}, expected {', '.join(want)}"
    for name, array in want.items():
        found = have[name]
        if found.shape != array.shape or found.dtype != array.dtype:
            given, asked = f"{found.dtype}{found.shape}", f"{array.dtype}{array.shape}"
            return f"{name} is {given}, expected {asked}"
        if exact and not np.array_equal(found, array):
            count = int((found != array).sum())
            return (
                f"{count} of {array.size} elements of {name} have other bits; {_gap(array, found)}"
            )
        if not np.isfinite(found).all() or _off(array, found) > TOLERANCE:
            return f"{name} is off by more than {TOLERANCE:g} of its largest; {_gap(array, found)}"
    return ""


def _off(want: np.ndarray, have: np.ndarray) -> float:
    """The largest difference, of the largest magnitude of `want`."""
    wide = want.astype(np.float64)
    scale = float(np.abs(wide).max(initial=0.0)) or 1.0
    return float(np.abs(have.astype(np.float64) - wide).max(initial=0.0)) / scale


def _gap(want: np.ndarray, have: np.ndarray) -> str:
    """Where the largest difference is."""
    gaps = np.abs(have.astype(np.float64) - want.astype(np.float64))
    at = tuple(int(i) for i in np.unravel_index(np.argmax(gaps), gaps.shape))
    return f"at {list(at)} it is {have[at]:g}, expected {want[at]:g}"
