"""One operator case of the `onnx` package: import it, run it in the interpreter, compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from codesign.errors import CodesignError, InvalidModelError
from codesign.frontends.onnx import import_onnx
from codesign.frontends.onnx.call import NotConstantError
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph

PASSES = ("pass", "bound", "folded")


def plain(value: Any) -> Any:
    """Tensors of a case as arrays; what is no tensor as it is."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@dataclass(frozen=True)
class Case:
    """A model with sets of inputs and expected outputs, in their order."""

    name: str
    model: ModelProto
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float

    @staticmethod
    def of(case: Any) -> "Case":
        """From onnx's own class."""
        data = [([*map(plain, given)], [*map(plain, want)]) for given, want in case.data_sets]
        return Case(case.name, case.model, data, case.rtol, case.atol)

    @property
    def operator(self) -> str:
        """The operator that the case is about, also where it comes expanded into others."""
        nodes = self.model.graph.node
        if len(nodes) == 1 and "_expanded" not in self.name:
            return str(nodes[0].op_type)
        return "(standard functions, expanded)" if "_expanded" in self.name else "(several nodes)"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `pass`, `bound` (pass, with shape-like inputs given as constants),
    `folded` (pass, with no input left), `refused`, `wrong` or `crash`."""

    case: str
    operator: str
    result: str
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the case agrees with its expected results."""
        return self.result in PASSES


def run_case(case: Case) -> Outcome:
    """Import the model and compare its outputs with those expected for each set of data."""
    try:
        found = [_check(case, inputs, expected) for inputs, expected in case.data]
    except InvalidModelError as error:
        return _outcome(case, "crash", f"a valid model is called invalid: {error}")
    except CodesignError as error:
        return _outcome(case, "refused", str(error))
    except Exception as error:  # noqa: BLE001  crashes are what is looked for
        return _outcome(case, "crash", f"{type(error).__name__}: {error}")
    worst = max((error for error, _ in found), default=0.0)
    if worst > 1:
        return _outcome(case, "wrong", f"error is {worst:.3g} times the tolerance")
    return _outcome(case, max((how for _, how in found), key=PASSES.index, default="pass"))


def _outcome(case: Case, result: str, reason: str = "") -> Outcome:
    return Outcome(case.name, case.operator, result, reason)


def _check(case: Case, inputs: Sequence[Any], expected: Sequence[Any]) -> tuple[float, str]:
    """Largest error in units of the tolerance, and how the inputs were given."""
    names = [value.name for value in case.model.graph.input]
    given = dict(zip(names, inputs, strict=False))
    graph, left = import_bound(case.model, given)
    found = evaluate(graph, left)
    outputs = [value.name for value in case.model.graph.output]
    pairs = list(zip(outputs, expected, strict=True))
    error = max(difference(found[n], e, case.rtol, case.atol) for n, e in pairs)
    return error, "pass" if len(left) == len(given) else "bound" if left else "folded"


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
    element = next(v for v in model.graph.input if v.name == name).type.tensor_type.elem_type
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
        return float("inf")
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
