"""One operator case of the `onnx` package: import it, run it in the interpreter, compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from codesign.errors import CodesignError, InvalidModelError
from codesign.frontends.onnx import import_onnx
from codesign.frontends.onnx.call import NotConstantError
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph

Arrays = Sequence[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `pass`, `bound` (pass, with shape-like inputs given as constants),
    `refused`, `wrong` or `crash`."""

    case: str
    operator: str
    result: str
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the case agrees with its expected results."""
        return self.result in ("pass", "bound")


def operator_of(model: ModelProto) -> str:
    """The operator that a case is about: its only node's, or the function that was expanded."""
    nodes = model.graph.node
    name = model.graph.name.removeprefix("test_")
    if len(nodes) == 1:
        return str(nodes[0].op_type)
    if "_expanded" in name:
        return "(expanded functions)"
    return max((str(node.op_type) for node in nodes), key=str.__len__, default="(none)")


def run_case(
    name: str, model: ModelProto, data: Sequence[tuple[Arrays, Arrays]], rtol: float, atol: float
) -> Outcome:
    """Import `model` and compare its outputs with those expected for each of `data`."""
    operator = operator_of(model)
    try:
        worst, bound = 0.0, False
        for inputs, expected in data:
            error, was_bound = _distance(model, inputs, expected, rtol, atol)
            worst, bound = max(worst, error), bound or was_bound
    except InvalidModelError as error:
        return Outcome(name, operator, "crash", f"a valid model is called invalid: {error}")
    except CodesignError as error:
        return Outcome(name, operator, "refused", str(error))
    except Exception as error:  # the very thing that this script looks for
        return Outcome(name, operator, "crash", f"{type(error).__name__}: {error}")
    if worst > 1:
        return Outcome(name, operator, "wrong", f"error is {worst:.3g} times the tolerance")
    return Outcome(name, operator, "bound" if bound else "pass")


def _distance(
    model: ModelProto, inputs: Arrays, expected: Arrays, rtol: float, atol: float
) -> tuple[float, bool]:
    """Largest error in units of the tolerance, and whether inputs had to be made constants."""
    given = dict(zip((value.name for value in model.graph.input), inputs, strict=False))
    graph, left = import_bound(model, given)
    found = evaluate(graph, left)
    names = [value.name for value in model.graph.output]
    pairs = zip(names, expected, strict=True)
    return max(difference(found[n], e, rtol, atol) for n, e in pairs), len(left) < len(given)


def import_bound(model: ModelProto, given: dict[str, Any]) -> tuple[Graph, dict[str, Any]]:
    """The graph, with inputs that must be constants (shapes, axes, ...) taken from `given`."""
    left = dict(given)
    while True:
        try:
            return import_onnx(model), left
        except NotConstantError as error:
            if not error.sources:
                raise
            for name in error.sources:
                model = with_constant(model, name, left.pop(name))


def with_constant(model: ModelProto, name: str, array: np.ndarray) -> ModelProto:
    """`model` with input `name` as an initializer."""
    changed = ModelProto()
    changed.CopyFrom(model)
    kept = [value for value in changed.graph.input if value.name != name]
    element = next(v for v in changed.graph.input if v.name == name).type.tensor_type.elem_type
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    tensor = numpy_helper.from_array(np.asarray(array), name)
    if tensor.data_type != element:
        tensor = onnx.helper.make_tensor(name, element, array.shape, array.reshape(-1).tolist())
    changed.graph.initializer.append(tensor)
    return changed


def difference(found: np.ndarray, expected: Any, rtol: float, atol: float) -> float:
    """Largest |found - expected| / (atol + rtol |expected|); infinite if shape or type differ."""
    if not isinstance(expected, np.ndarray) and not np.isscalar(expected):
        return nan if expected is None else float("inf")
    want = np.asarray(expected)
    if found.shape != want.shape or found.dtype != want.dtype:
        return float("inf")
    if not found.size:
        return 0.0
    a, b = found.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(a - b) / (atol + rtol * np.abs(b)))
    return float(np.where(np.isnan(error), np.inf, error).max())
