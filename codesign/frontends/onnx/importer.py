"""ONNX model to graph: walk the nodes in order, converting each with the values known so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import FunctionProto, GraphProto, NodeProto

from codesign.errors import (
    InvalidModelError,
    UnknownNameError,
    UnsupportedModelError,
    UsageError,
)
from codesign.frontends.onnx.call import Call
from codesign.frontends.onnx.emit import Emitter
from codesign.frontends.onnx.families.qonnx import DOMAINS as QONNX
from codesign.frontends.onnx.families.qonnx import TABLE as QONNX_TABLE
from codesign.frontends.onnx.finish import finish_graph
from codesign.frontends.onnx.functions import bind_attributes, check_arity, schema_of
from codesign.frontends.onnx.guard import function_body, guarded
from codesign.frontends.onnx.inputs import Shapes, input_types
from codesign.frontends.onnx.load import load_model, normal_domain, opsets
from codesign.frontends.onnx.order import describe, readers, sort_nodes
from codesign.frontends.onnx.table import converter
from codesign.frontends.onnx.tensor import check_finite, numpy_dtype, to_array, width_of
from codesign.frontends.onnx.value import Value
from codesign.ir.graph import Graph

MAX_DEPTH = 24
MAX_CALLS = 20_000
Scope = dict[str, Value | None]


def import_onnx(
    source: str | Path | onnx.ModelProto,
    input_shapes: Shapes | None = None,
    constants: Mapping[str, npt.ArrayLike] | None = None,
) -> Graph:
    """The graph of an ONNX model (a path or a decoded model), all shapes static.

    `input_shapes` gives inputs a shape by name, binding free dimensions or changing fixed ones.
    `constants` gives inputs a value by name, which makes them constants: a sample rate that an If
    asks for, a shape, a threshold.
    Raises UsageError (no such file or input), InvalidModelError (broken), UnsupportedModelError
    (an operator, attribute or dynamic shape that cannot be imported); all name what and where.
    """
    model, folder = load_model(source)
    try:
        return _Importer(model, folder).run(input_shapes or {}, constants or {})
    except RecursionError:
        raise InvalidModelError("the model is nested too deeply to be read") from None
    except MemoryError:
        raise InvalidModelError("the model's constants do not fit in memory") from None


@dataclass(frozen=True)
class Frame:
    """Where nodes are being converted: operator versions, prefix of names, nesting depth."""

    versions: Mapping[str, int]
    prefix: str
    depth: int


class _Importer:
    def __init__(self, model: onnx.ModelProto, folder: Path | None) -> None:
        self.graph = model.graph
        self.folder = folder
        self.functions = {(normal_domain(f.domain), f.name): f for f in model.functions}
        self.frame = Frame(opsets(model), "", 0)
        self.emit = Emitter(model.graph.name or "main")
        self.calls = 0

    def run(self, shapes: Shapes, constants: Mapping[str, npt.ArrayLike]) -> Graph:
        graph = self.graph
        scope = self._initializers(graph, "the graph")
        scope |= self._given(constants, scope)
        free = [value for value in graph.input if value.name not in scope]
        for name, kind in input_types(free, shapes, readers(graph.node)).items():
            if not name or name in scope:
                raise InvalidModelError(f"the graph has two inputs called {name!r}, or one unnamed")
            scope[name] = self.emit.input(name, kind)
        if len({value.name for value in free}) < len(free):
            raise InvalidModelError("the graph has two inputs of one name")
        self._nodes(graph.node, scope, self.frame, "the graph")
        names = [value.name for value in graph.output]
        return finish_graph(self.emit, [self._output(scope, name) for name in names], names)

    def _given(self, constants: Mapping[str, npt.ArrayLike], scope: Scope) -> Scope:
        """Inputs whose value the caller gives."""
        declared = {v.name: v.type.tensor_type for v in self.graph.input if v.name not in scope}
        found: Scope = {}
        for name, value in constants.items():
            if name not in declared:
                raise UnknownNameError("graph input", name, declared)
            array = np.asarray(value, numpy_dtype(declared[name].elem_type, f"input {name!r}"))
            if declared[name].HasField("shape") and len(declared[name].shape.dim) != array.ndim:
                raise UsageError(
                    f"the value of input {name!r} has shape {list(array.shape)}, but the input has "
                    f"{len(declared[name].shape.dim)} dimensions"
                )
            found[name] = self.emit.constant(array, name, width_of(declared[name].elem_type))
        return found

    def _count(self) -> None:
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise UnsupportedModelError(
                f"the model expands to over {MAX_CALLS} function calls and loop steps"
            )

    def _output(self, scope: Scope, name: str) -> Value:
        value = scope.get(name)
        if value is None:
            raise InvalidModelError(f"the graph returns {name!r}, which nothing defines")
        return value

    def _initializers(self, graph: GraphProto, where: str) -> Scope:
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise UnsupportedModelError(f"initializer {name!r} is sparse; store it densely")
        scope: Scope = {}
        for tensor in graph.initializer:
            what = f"initializer {tensor.name!r}"
            if not tensor.name or tensor.name in scope:
                raise InvalidModelError(f"{where} defines {what} twice, or without a name")
            array = to_array(tensor, self.folder, what)
            check_finite(array, what)
            width = width_of(tensor.data_type)
            scope[tensor.name] = self.emit.constant(array, tensor.name, width)
        return scope

    def _nodes(self, nodes: Sequence[NodeProto], scope: Scope, frame: Frame, where: str) -> None:
        for node in sort_nodes(nodes, set(scope), where):
            results = self._node(node, scope, frame)
            named = [name for name in node.output if name]
            if len(results) < len(node.output) and any(node.output[len(results) :]):
                missing = node.output[len(results)]
                raise UnsupportedModelError(
                    f"{describe(node)} (domain {node.domain or 'ai.onnx'!r}): its output "
                    f"{missing!r} is not supported"
                )
            for name, value in zip(node.output, results, strict=False):
                if name in named:
                    self._define(scope, frame, name, value, node)

    def _define(
        self, scope: Scope, frame: Frame, name: str, value: Value | None, node: NodeProto
    ) -> None:
        if value is None:
            raise UnsupportedModelError(
                f"{describe(node)} (domain {node.domain or 'ai.onnx'!r}): its output {name!r} is "
                "not supported"
            )
        if value.name is not None:
            self.emit.wanted.setdefault(value.name, frame.prefix + name)
        elif value.constant and value.encoding is None and not _given(value, node, scope):
            value = replace(value, label=frame.prefix + name)
        scope[name] = value

    def _node(self, node: NodeProto, scope: Scope, frame: Frame) -> Sequence[Value | None]:
        domain = normal_domain(node.domain)
        inputs = [scope[name] if name else None for name in node.input]
        self.emit.label = frame.prefix + next((name for name in node.output if name), node.name)
        function = self.functions.get((domain, node.op_type))
        if function is not None:
            return self._function(node, function, inputs, frame)
        version = frame.versions.get(domain, 1 if domain in QONNX else None)
        if version is None:
            raise InvalidModelError(
                f"{describe(node)} is of domain {node.domain!r}, which the model does not import"
            )
        body = partial(self._subgraph, node, scope, frame)
        call = Call(node, inputs, version, self.emit, body)
        return self._operator(call, domain, frame)

    def _operator(self, call: Call, domain: str, frame: Frame) -> Sequence[Value | None]:
        node, version = call.node, call.version
        schema = schema_of(node, domain, version)
        if schema is not None:
            check_arity(node, schema)
        convert = converter(domain, node.op_type, version)
        if convert is not None and (schema is not None or domain in QONNX):
            made = guarded(call, convert)
            return [made] if isinstance(made, Value) else made
        body = None if schema is None else function_body(call, schema)
        if body is None:
            attributes = ", ".join(a.name for a in node.attribute)
            known = f" (known are {', '.join(sorted(QONNX_TABLE))})" if domain in QONNX else ""
            raise call.refuse(
                f"no rule in operator set {version}{known}; inputs "
                f"{[str(v.type) if v else 'none' for v in call.inputs][:8]}, "
                f"attributes [{attributes}]"
            )
        return self._function(node, body, call.inputs, frame)

    def _function(
        self,
        node: NodeProto,
        function: FunctionProto,
        inputs: Sequence[Value | None],
        frame: Frame,
    ) -> list[Value | None]:
        if frame.depth >= MAX_DEPTH:
            raise InvalidModelError(
                f"{describe(node)}: functions are nested over {MAX_DEPTH} deep, or call themselves"
            )
        self._count()
        if len(inputs) > len(function.input):
            raise InvalidModelError(f"{describe(node)} has more inputs than its function takes")
        scope: Scope = dict.fromkeys(function.input)
        scope |= dict(zip(function.input, inputs, strict=False))
        versions = {normal_domain(entry.domain): entry.version for entry in function.opset_import}
        label = next((name for name in node.output if name), node.name)
        inner = Frame({**frame.versions, **versions}, f"{frame.prefix}{label}/", frame.depth + 1)
        self._nodes(bind_attributes(function, node), scope, inner, f"function {function.name!r}")
        return [scope.get(name) for name in function.output]

    def _subgraph(
        self,
        node: NodeProto,
        scope: Scope,
        frame: Frame,
        graph: GraphProto,
        inputs: Sequence[Value | None],
        label: str,
    ) -> list[Value | None]:
        """The outputs of `graph`, an attribute of `node`, for `inputs`; `scope` is seen inside."""
        if frame.depth >= MAX_DEPTH:
            raise InvalidModelError(f"{describe(node)} is nested over {MAX_DEPTH} deep")
        self._count()
        where = f"a graph of {describe(node)}"
        if len(graph.input) != len(inputs):
            raise InvalidModelError(f"{where} takes {len(graph.input)} inputs, not {len(inputs)}")
        inner: Scope = {**scope, **self._initializers(graph, where)}
        inner |= {value.name: given for value, given in zip(graph.input, inputs, strict=True)}
        deeper = Frame(frame.versions, f"{frame.prefix}{label}/", frame.depth + 1)
        self._nodes(graph.node, inner, deeper, where)
        names = [value.name for value in graph.output]
        if absent := [name for name in names if inner.get(name) is None]:
            raise InvalidModelError(f"{where} returns {absent[0]!r}, which nothing defines")
        return [inner[name] for name in names]


def _given(value: Value, node: NodeProto, scope: Scope) -> bool:
    """Whether `value` is an input of `node` itself."""
    return any(scope.get(name) is value for name in node.input)
