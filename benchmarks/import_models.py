"""Imports whole models and compares the interpreter with the framework that they come from."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError

import numpy as np
import torch
from torch.utils import _pytree as pytree

from benchmarks.common import Options, Row, parse_options, publish, say
from benchmarks.onnx_agreement import compare
from benchmarks.onnx_zoo import QUICK as QUICK_ONNX
from benchmarks.onnx_zoo import Model
from benchmarks.onnx_zoo import models as onnx_models
from benchmarks.torch_zoo import MODELS, QUICK, load
from codesign.frontends.torch import import_torch
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph

GOAL = 1e-4
Case = Callable[[], Row]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest magnitude expected."""
    if found.shape != expected.shape:
        return float("inf")
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(found.astype(np.float64) - expected).max()) / scale


def agreement(
    name: str,
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    expected: list[np.ndarray],
    took: float,
) -> Row:
    """How far the interpreter's outputs are from those `expected`."""
    begin = time.perf_counter()
    outputs = list(evaluate(graph, inputs).values())
    seconds = time.perf_counter() - begin
    if len(outputs) == len(expected):
        error = max(map(relative_error, outputs, expected))
    else:
        error = float("inf")
    detail = {
        "nodes": len(graph.nodes),
        "import_s": round(took, 2),
        "interpret_s": round(seconds, 2),
        "ops": sorted({node.kind for node in graph.nodes}),
    }
    return Row(name, error, "relative", goal=GOAL, sense="<=", detail=detail)


def torch_case(name: str) -> Row:
    """A torch model against torch."""
    module, examples = load(name)
    begin = time.perf_counter()
    graph = import_torch(module, examples)
    took = time.perf_counter() - begin
    with torch.no_grad():
        leaves = pytree.tree_leaves(module(*examples))
    expected = [leaf.numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]
    inputs = {name: x.numpy() for name, x in zip(graph.inputs, examples, strict=True)}
    return agreement(f"torch/{name}", graph, inputs, expected, took)


def onnx_case(make: Callable[[], Model]) -> Row:
    """An ONNX model against onnxruntime."""
    return compare(make())


def cases(options: Options) -> dict[str, Case]:
    """What is to be run, by name."""
    names = QUICK if options.quick else MODELS
    found: dict[str, Case] = {f"torch/{name}": partial(torch_case, name) for name in names}
    for name, make in onnx_models():
        if not options.quick or name in QUICK_ONNX:
            found[f"onnx/{name}"] = partial(onnx_case, make)
    return {name: run for name, run in found.items() if options.selects(name)}


def main() -> None:
    """Run all cases; those whose package is not installed are named and left out."""
    options = parse_options("import_models", __doc__ or "")
    rows, absent = [], []
    for name, run in cases(options).items():
        try:
            rows.append(run())
            say(f"{name}: {rows[-1].value:.1e}")
        except (ModuleNotFoundError, PackageNotFoundError) as error:
            say(f"{name}: left out, {error}")
            absent.append(name)
    publish(options, rows, settings={"left_out": absent})


if __name__ == "__main__":
    main()
