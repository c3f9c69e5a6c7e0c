"""Compiles whole models for this CPU and compares them with the interpreter.

python -m benchmarks.compile_models [--quick] [--only PATTERN] [--json FILE] [--target SPEC]

Float models by the largest difference relative to the largest output; models that come in 8 bits
against the integer interpreter, whose codes they are to give bit for bit.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError

import numpy as np

import codesign
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from benchmarks.import_models import relative_error
from benchmarks.onnx_zoo import QUICK as QUICK_ONNX
from benchmarks.onnx_zoo import Model
from benchmarks.onnx_zoo import models as onnx_models
from benchmarks.torch_zoo import MODELS, QUICK
from benchmarks.torch_zoo import load as load_torch
from codesign.compiler import prepare, run_passes
from codesign.errors import CodesignError
from codesign.frontends.onnx import import_onnx
from codesign.frontends.torch import import_torch
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.graph import Graph

GOAL = 1e-4
FALLBACK = "fallback"
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A graph, what to feed it, and whether it computes on codes."""

    graph: Graph
    feeds: Arrays
    quantized: bool = False


def torch_case(name: str) -> Case:
    """A torch model with its example inputs."""
    module, examples = load_torch(name)
    graph = import_torch(module, examples)
    return Case(graph, {n: x.numpy() for n, x in zip(graph.inputs, examples, strict=True)})


def onnx_case(make: Callable[[], Model]) -> Case:
    """An ONNX model with its feeds."""
    model = make()
    graph = import_onnx(model.proto, model.shapes, model.constants)
    return Case(graph, {name: model.feeds[name] for name in graph.inputs}, model.quantized)


def cases(options: Options) -> dict[str, Callable[[], Case]]:
    """What is to be compiled, by name."""
    names = QUICK if options.quick else MODELS
    found: dict[str, Callable[[], Case]] = {f"torch/{n}": partial(torch_case, n) for n in names}
    for name, make in onnx_models():
        if not options.quick or name in QUICK_ONNX:
            found[f"onnx/{name}"] = partial(onnx_case, make)
    return {name: make for name, make in found.items() if options.selects(name)}


def expected(case: Case, target: str) -> Arrays:
    """The outputs by meaning: of the graph, or of the codes that the passes arrive at."""
    if not case.quantized:
        return evaluate(case.graph, case.feeds)
    return evaluate_integer(run_passes(prepare(case.graph, target, [])).graph, case.feeds)


def agreement(name: str, case: Case, target: str) -> Row:
    """How far the compiled model is from its meaning."""
    begin = time.perf_counter()
    compiled = codesign.compile(case.graph, target=target, passes=[], measure="none")
    seconds = time.perf_counter() - begin
    found = compiled.run(case.feeds)
    want = expected(case, target)
    error = max(relative_error(found[output], array) for output, array in want.items())
    layers = compiled.report["layers"]
    lowered = Counter(layer["op"] for layer in layers if layer["kernel"] == FALLBACK)
    detail = {
        "nodes": len(case.graph.nodes),
        "compile_s": round(seconds, 2),
        "run_ms": round(min(compiled.time(3)) * 1e3, 3),
        "kernels": dict(sorted(Counter(layer["kernel"] for layer in layers).items())),
        "fallback_ops": sum(lowered.values()),
        "fallback": dict(sorted(lowered.items())),
        **compiled.report["build"],
    }
    goal = 0.0 if case.quantized else GOAL
    return Row(name, min(error, 1e30), "relative", goal=goal, sense="<=", detail=detail)


def main() -> None:
    """Compile all cases; those whose package is not installed are named and left out."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--target", default="cpu", help="what to compile for")
    parsed = parser.parse_args()
    options = options_from("compile_models", parsed)
    rows: list[Row] = []
    absent, refused = [], {}
    for name, make in cases(options).items():
        try:
            rows.append(agreement(name, make(), parsed.target))
            detail = rows[-1].detail
            say(
                f"{name}: {rows[-1].value:.1e}, {detail['fallback_ops']} fallbacks, "
                f"{detail['compile_s']} s"
            )
        except (ModuleNotFoundError, PackageNotFoundError) as error:
            say(f"{name}: left out, {error}")
            absent.append(name)
        except CodesignError as error:
            say(f"{name}: refused, {error}")
            refused[name] = str(error)
    total = len(rows) + len(refused)
    rows.append(Row("models that compile", len(rows), "models", total, ">=", {"refused": refused}))
    publish(options, rows, settings={"left_out": absent, "target": parsed.target})


if __name__ == "__main__":
    main()
