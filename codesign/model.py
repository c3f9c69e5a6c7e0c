"""From whatever holds a model to a program: the one place that knows the frontends."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError, UsageError, foreign_code, missing_package
from codesign.ir.graph import Graph
from codesign.ir.program import Program

FORMS = "an .onnx file, a torch .pt2 file, or package.module:function"
FILES = (".onnx", ".pt2")
Shapes = Mapping[str, Sequence[int]]


def load(
    model: Any, example_inputs: Sequence[Any] | None = None, input_shapes: Shapes | None = None
) -> Program:
    """`model` as a program; `input_shapes` binds or changes input shapes by name.

    A model is a path to an `.onnx` or `.pt2` file, `package.module:function` (which is called and
    returns a model, or a torch module and its example inputs), a torch module with
    `example_inputs`, an exported torch program, an ONNX ModelProto, a Graph or a Program.
    UsageError if it is none of these; what the frontends raise if it cannot be imported.
    """
    try:
        return _load(model, example_inputs, input_shapes)
    except ModuleNotFoundError as error:
        raise missing_package(error) or error from None


def _load(model: Any, example_inputs: Sequence[Any] | None, input_shapes: Shapes | None) -> Program:
    """`load`, but for packages that are not installed."""
    if isinstance(model, Program | Graph):
        _no_shapes(input_shapes, "a graph")
        return model if isinstance(model, Program) else Program(model)
    if isinstance(model, str | Path):
        return _from_text(str(model), input_shapes)
    origins = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if "onnx" in origins:
        from codesign.frontends.onnx import import_onnx

        return Program(import_onnx(model, input_shapes))
    if "torch" in origins:
        from codesign.frontends.torch import import_torch

        if example_inputs is not None:
            _no_shapes(input_shapes, "a module; its example inputs fix them")
        return Program(import_torch(model, example_inputs, shapes=input_shapes))
    raise UsageError(f"{type(model).__name__} is no model; expected {FORMS}, or a torch module")


def _no_shapes(input_shapes: Shapes | None, what: str) -> None:
    if input_shapes:
        raise UsageError(f"input shapes {dict(input_shapes)} cannot be changed on {what}")


def _from_text(text: str, input_shapes: Shapes | None) -> Program:
    path = Path(text)
    suffix = path.suffix.lower()
    if suffix in FILES and not path.is_file():
        raise UsageError(f"there is no model file {text}")
    if suffix == ".onnx":
        from codesign.frontends.onnx import import_onnx

        return Program(import_onnx(path, input_shapes))
    if suffix == ".pt2":
        from codesign.frontends.torch import import_torch

        return Program(import_torch(path, shapes=input_shapes))
    if ":" in text and not path.exists():
        model, example_inputs = _call(text)
        return load(model, example_inputs, input_shapes)
    there = "" if path.exists() else ", and there is no such file"
    raise UsageError(f"{text!r} is no model that can be read{there}; expected {FORMS}")


def _call(text: str) -> tuple[Any, Any]:
    """Model and example inputs (or None) that the function `package.module:function` returns."""
    module, _, function = text.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    with _blamed(f"importing module {module}"):
        made = _found(module, function)
    if not callable(made):
        raise UsageError(f"{text} is no function that returns a model")
    with _blamed(text):
        result = made()
    model, example_inputs = (
        result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    )
    if isinstance(model, str) and Path(model).suffix.lower() not in FILES:
        raise UsageError(
            f"{text} returned {model[:80]!r}; expected a model, or an .onnx or .pt2 file"
        )
    return model, example_inputs


def _found(module: str, function: str) -> Any:
    """`function` of `module`; UsageError says which of them is not there, or what it imports."""
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        missing = missing_package(error) if isinstance(error, ImportError) else None
        itself = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(
            f"{error.name}."
        )
        if isinstance(error, ImportError) and not itself:
            raise missing or UsageError(f"cannot import module {module}: {error}") from None
        raise UsageError(f"cannot find {function} in module {module}: {error}") from None


def _blamed(what: str) -> AbstractContextManager[None]:
    """Within, whatever somebody else's code raises, sys.exit included, is a UsageError."""
    return foreign_code(lambda why: UsageError(f"{what} failed: {why}"), passing=(CodesignError,))
