"""Running drawn networks: by onnxruntime, by the interpreter, compiled; and comparing."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import assume

from codesign.compiler import prepare, run_passes
from codesign.frontends.onnx import import_onnx
from codesign.interpret.integer import RULES
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Program
from codesign.targets.tvm.target import Cpu
from tests.differential.strategies import Drawn
from tests.frontends import onnx_models
from tests.targets.tvm import harness

Arrays = Mapping[str, np.ndarray]
TOLERANCE = 1e-4  # of the largest magnitude
NUDGE = 2.0**-18  # relative: some tens of the roundings of float32
VIEWS = frozenset({"reshape", "flatten", "squeeze", "expand_dims", "transpose", "slice"})


def imported(drawn: Drawn) -> Graph:
    """The network in our IR; one that its checker refuses would be a mistake of the strategy."""
    return import_onnx(drawn.model)


def reference(drawn: Drawn, feeds: Arrays) -> tuple[Arrays, Mapping[str, float]]:
    """What onnxruntime computes, and how far from it one may be, by output.

    1e-4 of the largest magnitude, and as much again as the output moves when every input is moved
    by 2^-18 of itself: networks that amplify roundings (a normalization of nearly constant
    features, a difference of nearly equal sums) allow more. Networks that overflow are not used.
    """
    want = onnx_models.expected(drawn.model, feeds)
    signs = np.random.default_rng(1)
    moved = {
        name: (x * (1 + NUDGE * signs.choice([-1, 1], x.shape))).astype(np.float32)
        for name, x in feeds.items()
    }
    near = onnx_models.expected(drawn.model, moved)
    assume(all(np.isfinite(x).all() and np.abs(x).max(initial=0) < 1e6 for x in want.values()))
    return want, {name: _tolerance(want[name], near[name]) for name in want}


def _tolerance(want: np.ndarray, near: np.ndarray) -> float:
    if want.dtype.kind != "f" or not want.size:
        return 0.0
    scale = float(np.abs(want).max()) or 1.0
    return TOLERANCE * scale + float(np.abs(near.astype(np.float64) - want).max())


def close(found: Arrays, want: Arrays, tolerance: Mapping[str, float]) -> None:
    """Every output has its shape and type and lies within its tolerance."""
    assert list(found) == list(want)
    for name, array in want.items():
        got = found[name]
        assert (got.shape, got.dtype) == (array.shape, array.dtype), name
        gap = float(np.abs(got.astype(np.float64) - array).max(initial=0))
        scale = float(np.abs(array).max(initial=0))
        assert gap <= tolerance[name], f"{name} is off by {gap:.3g} of {scale:.3g}"


def relative(want: Arrays, share: float = TOLERANCE) -> dict[str, float]:
    """A tolerance of `share` of the largest magnitude for each output."""
    return {name: share * (float(np.abs(x).max(initial=0)) or 1.0) for name, x in want.items()}


def placed(
    graph: Graph, target: Cpu, passes: Sequence[str], calibration: Arrays | None = None
) -> Program:
    """`graph` after simplification, `passes`, and placement on `target`; all verified."""
    data = None if calibration is None else dict(calibration)
    program = run_passes(prepare(graph, target, list(passes), calibration=data))
    target.verify(program)
    return program


def compiled(program: Program, target: Cpu, feeds: Arrays) -> Arrays:
    """The outputs of a placed program, built and run."""
    return harness.run(program, target, feeds)


def rounds_floats(graph: Graph) -> bool:
    """Whether some float that depends on the order of its roundings is rounded to a code.

    If not, all codes follow from the inputs by integer arithmetic alone, and are exact.
    """
    exact = set(graph.inputs)
    for node in graph.nodes:
        encoded = graph.types[node.name].integer is not None
        known = all(v in exact or v in graph.constants for v in node.operands)
        if encoded and not (known and (node.kind == "encode" or _integer(graph, node))):
            return True
        if known and (encoded or node.kind in VIEWS | {"decode", "relayout"}):
            exact.update(node.outputs)
    return False


def _integer(graph: Graph, node: Node) -> bool:
    """Whether `node` computes on codes alone."""
    return node.kind in RULES and all(graph.types[v].integer for v in node.operands)


def exact_outputs(graph: Graph) -> set[str]:
    """Public names of the outputs that are codes, or floats that one rounding made of codes."""
    found = set()
    for public, value in zip(graph.output_names, graph.outputs, strict=True):
        maker = graph.producers.get(value)
        while maker is not None and maker.kind in VIEWS | {"relayout"}:
            maker = graph.producers.get(maker.operands[0])
        if maker is not None and maker.kind == "decode":
            found.add(public)
    return found
