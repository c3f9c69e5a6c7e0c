"""Importing torch models: a module with example inputs, an exported program, or a `.pt2` file."""

import operator
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    InputSpec,
    OutputKind,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from codesign.errors import (
    CodesignWarning,
    InvalidModelError,
    UnsupportedModelError,
    UsageError,
    VerificationError,
)
from codesign.frontends import torch_export
from codesign.frontends.finite import check_layers
from codesign.frontends.torch_ops import ATEN, CHECKS, FILLED, FILLED_WITH
from codesign.frontends.torch_ops.call import Call, Known, Result, ir_dtype, tensor_type, where
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph

Model = torch.nn.Module | ExportedProgram | str | Path


def import_torch(
    model: Model,
    example_inputs: Sequence[Any] | None = None,
    name: str = "",
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Graph:
    """The graph of a torch model in inference mode.

    `model` is a module (then `example_inputs`, one a forward argument, fix all shapes), an
    exported program, or the path of a `.pt2` file; `shapes` binds or changes input shapes of the
    latter two by input name. Parameters and buffers become constants under their own names.

    UnsupportedModelError names an aten op that cannot be imported and where it stands;
    InvalidModelError a weight that is not finite or a damaged file.
    """
    if isinstance(model, torch.nn.Module):
        if example_inputs is None:
            raise UsageError("a module needs example_inputs, a tuple for the arguments of forward")
        label = type(model).__name__
        if torch_export.trains(model):
            warnings.warn(
                f"{label} is in training mode; it is compiled as after .eval()",
                CodesignWarning,
                stacklevel=2,
            )
        program = torch_export.trace(model, example_inputs)
        return import_program(program, name or label)
    if isinstance(model, ExportedProgram):
        program, label = model, "main"
    else:
        program, label = torch_export.load_pt2(model), Path(model).stem
    if example_inputs is not None:
        program = torch_export.trace_again(program, example_inputs)
    elif shapes:
        program = torch_export.bind_shapes(program, shapes)
    return import_program(program, name or label)


def import_program(program: ExportedProgram, name: str) -> Graph:
    """The graph of an exported program whose shapes are fixed."""
    return check_layers(_Importer(torch_export.functional(program), name).run())


class _Importer:
    """Walks the program's nodes; `found` holds what each stands for."""

    def __init__(self, program: ExportedProgram, name: str) -> None:
        self.program = program
        self.builder = Builder(name)
        self.found: dict[fx.Node, Any] = {}
        self.inputs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}

    def run(self) -> Graph:
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.found[node] = self.placeholder(node)
            elif node.op == "call_function":
                self.found[node] = self.call(node)
            elif node.op == "output":
                return self.finish(node)
            else:
                raise UnsupportedModelError(f"{node.op} {node.target} ({where(node)})")
        raise InvalidModelError("the traced program has no output")

    # inputs and outputs

    def placeholder(self, node: fx.Node) -> Any:
        spec = self.inputs[node.name]
        if spec.kind is InputKind.TOKEN:
            return None  # orders side effects, which are refused where they occur
        if spec.kind is InputKind.USER_INPUT:
            if isinstance(spec.arg, ConstantArgument):
                return spec.arg.value
            torch_export.check_fixed(node.name, node.meta["val"].shape)
            kind = tensor_type(node.meta["val"], f"input {node.name!r}")
            return self.builder.input(node.name, kind.shape, kind.dtype)
        if not isinstance(spec.arg, TensorArgument) or spec.target is None:
            raise UnsupportedModelError(f"the program takes {spec.kind.name} {spec.arg.name}")
        return self.weight(spec, spec.target)

    def weight(self, spec: InputSpec, name: str) -> Known:
        """A parameter, buffer or constant. Parameters are finite; the others may be infinite."""
        store = self.program.state_dict if name in self.program.state_dict else None
        tensor = (store or self.program.constants)[name]
        if not isinstance(tensor, Tensor):
            raise UnsupportedModelError(f"the model holds {name}, a {type(tensor).__name__}")
        ir_dtype(tensor.dtype, f"weight {name!r}")
        tensor = tensor.detach().cpu()
        parameter = spec.kind is InputKind.PARAMETER
        if tensor.is_floating_point():
            bad = ~tensor.isfinite() if parameter else tensor.isnan()
            if bad.any():
                kind = "parameter" if parameter else "buffer"
                raise InvalidModelError(
                    f"{kind} {name!r} holds {int(bad.sum())} values that are not finite, the first "
                    f"at {bad.nonzero()[0].tolist()} of shape {list(tensor.shape)}"
                )
        fixed = spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)
        return Known(tensor, name, weight=fixed and tensor.is_floating_point())

    def finish(self, node: fx.Node) -> Graph:
        specs = self.program.graph_signature.output_specs
        for spec in specs:
            if spec.kind not in (OutputKind.USER_OUTPUT, OutputKind.TOKEN):
                raise UnsupportedModelError(
                    f"the model changes {spec.target or spec.arg.name} ({spec.kind.name}); only "
                    "models without state between calls are supported"
                )
        (returned,) = node.args
        assert isinstance(returned, (list, tuple))
        returned = [
            x
            for x, spec in zip(returned, specs, strict=True)
            if spec.kind is OutputKind.USER_OUTPUT
        ]
        call = Call(node, self.builder, "output")
        found = [self.found[arg] if isinstance(arg, fx.Node) else None for arg in returned]
        named = zip(found, self.output_names(len(found)), strict=True)
        kept = [(call.as_value(x), public) for x, public in named if isinstance(x, (str, Known))]
        if not kept:
            raise UnsupportedModelError("the model returns no tensor")
        values, names = zip(*kept, strict=True)
        return self.builder.graph(*values, output_names=names)

    def output_names(self, count: int) -> list[str]:
        """`output`, keys of a returned dictionary, or `output_0`, `output_1`, ..."""
        spec = self.program.call_spec.out_spec
        numbered = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
        if spec is None or spec.num_leaves != count:
            return numbered
        whole = pytree.tree_unflatten(list(range(count)), spec)
        paths, _ = pytree.tree_flatten_with_path(whole)
        keys = [".".join(str(k.key) for k in path if hasattr(k, "key")) for path, _ in paths]
        return keys if all(keys) and len(set(keys)) == count else numbered

    # nodes

    def call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            parent, at = node.args
            assert isinstance(parent, fx.Node) and isinstance(at, int)
            return self.found[parent][at]
        op = torch_export.op_name(node.target)
        if op in CHECKS:
            return None
        arguments = self.arguments(node)
        folded = self.folded(node, op, arguments)
        if folded is not None:
            return folded
        call = Call(node, self.builder, self.label(node, op), arguments)
        if op not in ATEN:
            raise call.refuse("is not supported")
        try:
            result = ATEN[op](call)
        except VerificationError as error:
            raise call.refuse(f"cannot be imported: {error}") from error
        self.check(call, result)
        return result

    def arguments(self, node: fx.Node) -> dict[str, Any]:
        """The arguments by name, nodes replaced by what they stand for, defaults filled in."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return {}
        named = zip((a.name for a in schema.arguments), node.args, strict=False)
        given = {**dict(named), **node.kwargs}
        defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        return {name: self.resolved(value) for name, value in {**defaults, **given}.items()}

    def resolved(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self.found[value]
        if isinstance(value, (list, tuple)):
            return [self.resolved(item) for item in value]
        return value

    def folded(self, node: fx.Node, op: str, arguments: dict[str, Any]) -> Result:
        """What the node computes if that is known now and is not about weights."""
        fake = node.meta.get("val")
        if (op in FILLED or op in FILLED_WITH) and isinstance(fake, Tensor):
            kind = tensor_type(fake, node.name)
            fill = FILLED.get(op, arguments.get("fill_value"))
            if isinstance(fill, (bool, int, float)):
                return Known(torch.full(kind.shape, fill, dtype=fake.dtype), node.name)
        leaves = pytree.tree_leaves(arguments)
        tensors = [leaf for leaf in leaves if isinstance(leaf, (str, Known))]
        inputs = [self.found[n] for n in node.all_input_nodes]
        unknown = any(not isinstance(x, Known) or x.weight for x in inputs)
        random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if unknown or random or not op or not isinstance(fake, Tensor) or len(tensors) > 64:
            return None
        return Known(self.eager(node), node.name)

    def eager(self, node: fx.Node) -> Tensor:
        """The node run by torch on known tensors."""
        args, kwargs = pytree.tree_map_only(
            fx.Node, lambda n: self.found[n].tensor, (node.args, node.kwargs)
        )
        assert callable(node.target)
        with torch.no_grad():
            result: Tensor = node.target(*args, **{**kwargs, **self.device(kwargs)})
        return result.clone()

    @staticmethod
    def device(kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Everything is computed on the host."""
        return {"device": torch.device("cpu")} if kwargs.get("device") is not None else {}

    def label(self, node: fx.Node, op: str) -> str:
        """The module's path for a layer of torch.nn, else path and op: `layer1.0.add`."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = (str(stack[-1][0]), str(stack[-1][1])) if stack else ("", "")
        nested = ("MultiheadAttention", "Transformer", "container")
        leaf = kind.startswith("torch.nn.modules.") and not any(n in kind for n in nested)
        short = op.strip("_") or "op"
        if not path:
            return short
        return path if leaf else f"{path}.{short}"

    def check(self, call: Call, result: Result) -> None:
        """Raise unless every result has the type that torch traced."""
        fakes = call.node.meta.get("val")
        many = isinstance(fakes, (list, tuple))
        pairs = zip(result, fakes, strict=False) if many else [(result, fakes)]  # type: ignore
        for value, fake in pairs:
            if not isinstance(value, str) or not isinstance(fake, Tensor):
                continue
            have, want = self.builder.types[value], tensor_type(fake, call.name)
            if have != want:
                raise call.refuse(f"was imported as {have}, but torch computes {want}")
