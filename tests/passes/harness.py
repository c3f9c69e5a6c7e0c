"""Running one pass, and comparing what graphs mean."""

import numpy as np

from codesign import plugins
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pass
from tests.strategies import inputs_of


def apply(graph: Graph, spec: str, context: Context | None = None) -> Graph:
    """`graph` after the pass that `spec` describes, verified."""
    step = plugins.make("pass", spec)
    return run_pass(Program(graph), step, context or Context()).graph


def calibrated(graph: Graph, samples: int = 8, **more: object) -> Context:
    """A context with random calibration data."""
    return Context(calibration=Dataset(inputs_of(graph, 7, samples)), **more)  # type: ignore[arg-type]


def lines(graph: Graph) -> list[str]:
    """Each node as `name=kind(operands)`."""
    return [f"{n.name}={n.kind}({', '.join(n.operands)})" for n in graph.nodes]


def kinds(graph: Graph) -> list[str]:
    """The kinds of all nodes."""
    return [node.kind for node in graph.nodes]


def same(before: Graph, after: Graph, tolerance: float = 1e-5) -> None:
    """Both compute the same, to `tolerance` of the largest element."""
    data = inputs_of(before)
    want, got = evaluate(before, data), evaluate(after, data)
    assert list(want) == list(got)
    for name, array in want.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=name)


def snr_db(want: np.ndarray, got: np.ndarray) -> float:
    """Signal to noise in dB."""
    noise = float(((want - got).astype(np.float64) ** 2).sum())
    return 10 * float(np.log10(float((want.astype(np.float64) ** 2).sum()) / max(noise, 1e-30)))
