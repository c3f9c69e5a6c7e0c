"""How far an imported ONNX model is from onnxruntime.

Float models: the largest difference, relative to the largest magnitude of the output. Quantized
ones likewise, with the number of steps of the output's own scale in the details: rounding to codes
turns a difference of 1e-7 into a whole step, so their bound is one of steps.
"""

import time

import numpy as np

from benchmarks.common import Row
from benchmarks.onnx_zoo import Model
from codesign.frontends.onnx import import_onnx
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph

FLOAT_GOAL = 1e-4
INT8_GOAL = 0.03  # of the largest output: four of its 127 steps
Arrays = dict[str, np.ndarray]


def compare(model: Model) -> Row:
    """Import `model`, run it, and measure its distance from onnxruntime."""
    start = time.perf_counter()
    graph = import_onnx(model.proto, model.shapes, model.constants)
    imported = time.perf_counter()
    found = evaluate(graph, {name: model.feeds[name] for name in graph.inputs})
    seconds = time.perf_counter() - imported
    expected = reference(model)
    error = max(distance(found[name], array) for name, array in expected.items())
    detail = {
        "nodes": len(graph.nodes),
        "import_s": round(imported - start, 2),
        "interpret_s": round(seconds, 2),
        "ops": sorted({node.kind for node in graph.nodes}),
        "largest_output": float(max(np.abs(array).max() for array in expected.values())),
    }
    if model.quantized:
        detail["steps"] = steps(graph, found, expected)
    goal = INT8_GOAL if model.quantized else FLOAT_GOAL
    return Row(f"onnx/{model.name}", error, "relative", goal, "<=", detail)


def reference(model: Model) -> Arrays:
    """The outputs that onnxruntime computes."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(model.proto.SerializeToString())
    feeds = dict(model.feeds) | {n: np.array(v, np.int64) for n, v in model.constants.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest expected magnitude."""
    if found.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max()), 1e-30)
    return float(np.abs(found.astype(np.float64) - expected).max()) / scale


def steps(graph: Graph, found: Arrays, expected: Arrays) -> float | None:
    """Largest difference in steps of the scale in which the graph encodes its first output."""
    maker = graph.producers.get(graph.outputs[0])
    stored = graph.types[maker.operands[0]].integer if maker and maker.kind == "decode" else None
    if stored is None:
        return None
    name = graph.output_names[0]
    gap = np.abs(found[name].astype(np.float64) - expected[name]).max()
    return round(float(gap / stored.scale.array.max()), 3)
