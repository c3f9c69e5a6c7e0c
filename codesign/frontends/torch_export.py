"""From a torch module or a `.pt2` file to a functional aten program without in-place ops."""

import io
import logging
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from codesign.errors import DataError, InvalidModelError, UnsupportedModelError, UsageError
from codesign.frontends.torch_archive import check_archive
from codesign.frontends.torch_ops import ATEN

# What torch raises on purpose or by accident when a program or file is not as it expects.
_TRACING = (
    RuntimeError,
    TypeError,
    ValueError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
)
_LOADING = (*_TRACING, OSError, EOFError, zipfile.BadZipFile)


@contextmanager
def quiet() -> Iterator[None]:
    """Within, torch neither logs nor prints what it also raises, nor warns about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()) as held:
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message=".*assigned during export")
            yield
        sys.stderr.write(held.getvalue())  # of a model that prints; the graphs of failures are not
    finally:
        logging.disable(before)


@contextmanager
def inference(module: torch.nn.Module) -> Iterator[None]:
    """Within, every part of `module` is in inference mode; afterwards as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def trains(module: torch.nn.Module) -> bool:
    """Whether a part of `module` that computes otherwise in training is in training mode."""

    def random_or_learning(part: torch.nn.Module) -> bool:
        share = getattr(part, "dropout", 0.0)
        drops = "Drop" in type(part).__name__ or (isinstance(share, float) and share > 0)
        return drops or bool(getattr(part, "track_running_stats", False))

    return any(part.training and random_or_learning(part) for part in module.modules())


def trace(module: torch.nn.Module, example_inputs: Sequence[Any]) -> ExportedProgram:
    """`module` in inference mode, traced for inputs of these shapes and element types.

    UnsupportedModelError says why torch.export cannot trace it.
    """
    if isinstance(example_inputs, torch.Tensor) or not isinstance(example_inputs, Sequence):
        raise UsageError(
            "example_inputs is a tuple with one entry for each argument of forward; given "
            f"{type(example_inputs).__name__}"
        )
    try:
        with inference(module), torch.no_grad(), quiet():
            return torch.export.export(module, tuple(example_inputs))
    except _TRACING as error:
        raise UnsupportedModelError(
            f"torch.export cannot trace {type(module).__name__} with the example inputs: "
            f"{_reason(error)}"
        ) from error


def load_pt2(path: str | Path) -> ExportedProgram:
    """The program in a `.pt2` file (torch.export.save).

    UsageError if there is no such file, InvalidModelError if it is damaged or something else.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"{file} is no file")
    check_archive(file)
    try:
        with quiet():
            return torch.export.load(str(file))
    except _LOADING as error:
        raise InvalidModelError(
            f"{file} cannot be read as a .pt2 program: {_brief(error)}; write it again with "
            "torch.export.save, by a torch that is not newer than this one "
            f"({torch.__version__})"
        ) from error


def bind_shapes(program: ExportedProgram, shapes: Mapping[str, Sequence[int]]) -> ExportedProgram:
    """`program` traced again with inputs of the given shapes, by input name.

    DataError if a name is no input; UnsupportedModelError if an input is still not fixed, or the
    program was traced for other shapes only.
    """
    names = [str(name) for name in program.graph_signature.user_inputs]
    if unknown_names := set(shapes) - set(names):
        raise DataError(f"shapes given for {sorted(unknown_names)}, but the inputs are {names}")
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node in inputs:
        if node.name in shapes:
            _check_shape(node.name, node.meta["val"].shape, shapes[node.name])
    examples = [_example(node, shapes) for node in inputs if node.name in names]
    args, kwargs = pytree.tree_unflatten(examples, program.call_spec.in_spec)
    return trace_again(program, args, kwargs)


def _example(node: torch.fx.Node, shapes: Mapping[str, Sequence[int]]) -> Any:
    """An input of the bound shape, or the constant that stands in its place."""
    fake = node.meta.get("val")
    if not isinstance(fake, torch.Tensor):
        return fake
    shape = tuple(shapes.get(node.name, fake.shape))
    check_fixed(node.name, shape)
    return torch.zeros(shape, dtype=fake.dtype)


def check_fixed(name: str, shape: Sequence[Any]) -> None:
    """UnsupportedModelError, saying how to bind it, if input `name` has a free dimension."""
    for axis, extent in enumerate(shape):
        if not isinstance(extent, int):
            guesses = (1, 3, 224, 224) if len(shape) == 4 else (1,) * len(shape)
            pairs = zip(shape, guesses, strict=True)
            example = ",".join(str(e if isinstance(e, int) else guess) for e, guess in pairs)
            raise UnsupportedModelError(
                f"input {name!r} has a free dimension {axis} ({str(extent)!r}); shapes are static "
                f"here, so bind it: --input-shape {name}={example}"
            )


def _check_shape(name: str, exported: Sequence[Any], wanted: Sequence[int]) -> None:
    """UnsupportedModelError if `wanted` changes what was fixed when the program was exported."""
    pairs = list(zip(exported, wanted, strict=False))
    same = len(exported) == len(wanted)
    if same and all(e == w for e, w in pairs if isinstance(e, int)):
        return
    given = ",".join(map(str, wanted))
    raise UnsupportedModelError(
        f"input {name!r} cannot become {given}: it was exported with the shape "
        f"{','.join(map(str, exported))}; export it with dynamic_shapes, or with inputs of the "
        "shape that is wanted"
    )


def trace_again(
    program: ExportedProgram, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """`program` traced again for example inputs; UnsupportedModelError if it does not fit them."""
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(program.module(), tuple(args), dict(kwargs or {}))
    except _TRACING as error:
        raise UnsupportedModelError(
            f"the program cannot be traced with these inputs: {_reason(error)}"
        ) from error


def functional(program: ExportedProgram) -> ExportedProgram:
    """`program` without in-place ops; ops that no importer knows are taken apart where possible."""
    try:
        with quiet():
            return _simplified(program)
    except _TRACING as error:
        raise UnsupportedModelError(
            f"torch cannot simplify the program: {_brief(error)}"
        ) from error


def _simplified(program: ExportedProgram) -> ExportedProgram:
    done: ExportedProgram = program.run_decompositions({})
    for _ in range(3):
        left = unknown(done)
        rules = {op: rule for op, rule in _rules().items() if op in left}
        if not rules:
            break
        done = done.run_decompositions(rules)
    return done


def unknown(program: ExportedProgram) -> set[Any]:
    """The ops of `program` that no importer knows."""
    return {
        node.target
        for node in program.graph.nodes
        if node.op == "call_function" and op_name(node.target) not in ATEN
    }


def op_name(target: Any) -> str:
    """`conv2d` for aten.conv2d.default; "" for what is no aten op."""
    schema = getattr(target, "_schema", None)
    name: str = schema.name if schema is not None else ""
    return name.removeprefix("aten::") if name.startswith("aten::") else ""


def _rules() -> Mapping[Any, Any]:
    return dict(torch.export.default_decompositions())


def _reason(error: BaseException) -> str:
    """Why torch.export fails, in plain words where values of tensors decide what is computed."""
    if "DataDependent" not in type(error).__name__:
        return _brief(error)
    place = re.search(r'File "(.*)", line (\d+), in .*\n\s*(.*)', str(error))
    where = " ({}, line {}: {})".format(*place.groups()) if place else ""
    return (
        f"what it computes depends on the values of a tensor{where}, and a program is traced once "
        "for all values; put torch.where in the place of an `if`, and give loops and shapes fixed "
        "extents"
    )


def _brief(error: BaseException) -> str:
    """The first lines of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] or type(error).__name__
