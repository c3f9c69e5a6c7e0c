"""Operators that are defined through others: a model's functions and those of the ONNX standard."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.tensor import proto_dtype
from codesign.frontends.onnx.value import Value


def schema_of(node: NodeProto, domain: str, version: int) -> onnx.defs.OpSchema | None:
    """The standard's schema of the operator in `version` of its domain, or None."""
    try:
        schema = onnx.defs.get_schema(node.op_type, version, domain)
    except (onnx.defs.SchemaError, UnicodeError, ValueError, TypeError):
        return None
    return None if schema.deprecated else schema


def check_arity(node: NodeProto, schema: onnx.defs.OpSchema) -> None:
    """InvalidModelError unless the number of inputs and outputs is one that `schema` allows."""
    for what, count, low, high in (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    ):
        if not low <= count <= high:
            raise InvalidModelError(
                f"{describe(node)} has {count} {what}; {schema.name} takes {low} to {high}"
            )


def standard_body(
    node: NodeProto, schema: Any, inputs: Sequence[Value | None], version: int
) -> FunctionProto | None:
    """The function that the ONNX standard gives for `node`, or None if it gives none."""
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= version]
        body = schema.get_function_with_opset_version(max(versions)) if versions else None
    elif schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= version]
        types = [_type(value).SerializeToString() for value in inputs]
        content = node.SerializeToString()
        if not versions:
            return None
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), content, types
        )
    else:
        body = None
    function = _parse(body)
    if function is not None:
        given = {attribute.name for attribute in node.attribute}
        defaults = ((name, a.default_value) for name, a in schema.attributes.items())
        absent = [default for name, default in defaults if default.name and name not in given]
        function.attribute_proto.extend(absent)
    return function


def _parse(body: bytes | None) -> FunctionProto | None:
    if body is None:
        return None
    function = FunctionProto()
    function.ParseFromString(body)
    return function if function.node else None


def _type(value: Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(proto_dtype(value.dtype.numpy), value.shape)


def bind_attributes(function: FunctionProto, call: NodeProto) -> list[NodeProto]:
    """The function's nodes with references to its attributes replaced by those of `call`."""
    given = {a.name: a for a in function.attribute_proto} | {a.name: a for a in call.attribute}
    return [_bound(node, given) for node in function.node]


def _bound(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    result = NodeProto()
    result.CopyFrom(node)
    del result.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            actual = given.get(attribute.ref_attr_name)
            if actual is None:
                continue
            result.attribute.add().CopyFrom(actual)
            result.attribute[-1].name = attribute.name
        else:
            result.attribute.add().CopyFrom(attribute)
            _bind_graphs(result.attribute[-1], given)
    return result


def _bind_graphs(attribute: AttributeProto, given: Mapping[str, AttributeProto]) -> None:
    for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
        nodes = [_bound(node, given) for node in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
