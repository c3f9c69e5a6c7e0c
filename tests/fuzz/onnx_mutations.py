"""Ways to damage an ONNX model: its bytes, and its fields."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, TensorProto

NUMBERS = (-(1 << 63), -(1 << 31), -9, -1, 0, 1, 2, 3, 7, 64, 1000, 1 << 20, 1 << 31, 1 << 62)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), float("-inf"), 0.5)
OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
ATTRIBUTES = ("axis", "axes", "perm", "pads", "strides", "to", "mode", "group", "keepdims", "value")


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """A few bytes changed, cut out, repeated, or the end cut off."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        place = random.randrange(len(data)) if data else 0
        way = random.randrange(5)
        if way == 0 and data:
            data[place] ^= 1 << random.randrange(8)
        elif way == 1 and data:
            data[place] = random.randrange(256)
        elif way == 2:
            del data[place : place + random.randrange(1, 20)]
        elif way == 3:
            data[place:place] = data[place : place + random.randrange(1, 20)]
        else:
            del data[len(data) - random.randrange(1, 60) :]
    return bytes(data)


def mutate_fields(model: ModelProto, random: Random) -> ModelProto:
    """`model` with one to three fields changed to something that fits their type."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for _ in range(random.choice((1, 1, 2, 3))):
        graph = changed.graph
        for node in graph.node:
            inner = [a.g for a in node.attribute if a.HasField("g")]
            if inner and random.random() < 0.3:
                graph = random.choice(inner)
        random.choice(FIELD_CHANGES)(graph, random)
    if random.random() < 0.05:
        changed.opset_import[0].version = random.choice(
            (0, 1, 7, 9, 10, 11, 12, 13, 17, 18, 25, 99)
        )
    return changed


def _some(items: Sequence[Any], random: Random) -> Any | None:
    return random.choice(items) if items else None


def _names(graph: GraphProto) -> list[str]:
    found = [value.name for value in graph.input] + [tensor.name for tensor in graph.initializer]
    return [*found, *(name for node in graph.node for name in node.output), "", "nothing"]


def _initializer_dims(graph: GraphProto, random: Random) -> None:
    if (tensor := _some(graph.initializer, random)) and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(NUMBERS)


def _initializer_reshaped(graph: GraphProto, random: Random) -> None:
    if tensor := _some(graph.initializer, random):
        dims = list(tensor.dims)
        random.shuffle(dims)
        extra = random.choice(([], [1], [1, 1]))
        del tensor.dims[:]
        tensor.dims.extend([*dims, *extra])


def _initializer_type(graph: GraphProto, random: Random) -> None:
    if tensor := _some(graph.initializer, random):
        tensor.data_type = random.randrange(30)


def _initializer_numbers(graph: GraphProto, random: Random) -> None:
    """New integers of the right size: shapes, axes, sizes, codes."""
    whole = [t for t in graph.initializer if t.data_type == TensorProto.INT64]
    if tensor := _some(whole, random):
        count = len(tensor.raw_data) // 8
        numbers = (random.choice(NUMBERS) for _ in range(count))
        tensor.raw_data = b"".join(n.to_bytes(8, "little", signed=True) for n in numbers)


def _initializer_bytes(graph: GraphProto, random: Random) -> None:
    if tensor := _some(graph.initializer, random):
        tensor.raw_data = mutate_bytes(tensor.raw_data, random)


def _initializer_gone(graph: GraphProto, random: Random) -> None:
    if graph.initializer:
        del graph.initializer[random.randrange(len(graph.initializer))]


def _external(graph: GraphProto, random: Random) -> None:
    if tensor := _some(graph.initializer, random):
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key = random.choice(("location", "offset", "length"))
        entry.value = random.choice(("/etc/passwd", "../x", "", "-1", "w.bin", "/dev/zero"))


def _input_shape(graph: GraphProto, random: Random) -> None:
    if (value := _some(graph.input, random)) and value.type.tensor_type.shape.dim:
        dim = random.choice(value.type.tensor_type.shape.dim)
        dim.dim_value = random.choice((0, 1, 2, 5, 9, 1 << 20, 1 << 40, -1))


def _input_rank(graph: GraphProto, random: Random) -> None:
    if value := _some(graph.input, random):
        dims = value.type.tensor_type.shape.dim
        if dims and random.random() < 0.5:
            del dims[random.randrange(len(dims))]
        else:
            dims.add().dim_value = random.choice((1, 2, 3))


def _input_type(graph: GraphProto, random: Random) -> None:
    if value := _some(graph.input, random):
        value.type.tensor_type.elem_type = random.randrange(30)


def _operator(graph: GraphProto, random: Random) -> None:
    if node := _some(graph.node, random):
        node.op_type = random.choice(OPERATORS)


def _read(graph: GraphProto, random: Random) -> None:
    if (node := _some(graph.node, random)) and node.input:
        node.input[random.randrange(len(node.input))] = random.choice(_names(graph))


def _arity(graph: GraphProto, random: Random) -> None:
    if node := _some(graph.node, random):
        names = random.choice((node.input, node.output))
        if names and random.random() < 0.5:
            del names[random.randrange(len(names))]
        else:
            names.append(random.choice(_names(graph)))


def _written(graph: GraphProto, random: Random) -> None:
    if (node := _some(graph.node, random)) and node.output:
        node.output[random.randrange(len(node.output))] = random.choice(_names(graph))


def _order(graph: GraphProto, random: Random) -> None:
    nodes = list(graph.node)
    random.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


def _node_gone(graph: GraphProto, random: Random) -> None:
    if graph.node:
        del graph.node[random.randrange(len(graph.node))]


def _node_twice(graph: GraphProto, random: Random) -> None:
    if node := _some(graph.node, random):
        graph.node.append(node)


def _attribute(graph: GraphProto, random: Random) -> None:
    """Change an attribute's numbers, text or type."""
    node = _some([n for n in graph.node if n.attribute], random)
    if node is None:
        return
    found = random.choice(node.attribute)
    way = random.randrange(4)
    if way == 0 and found.ints:
        found.ints[random.randrange(len(found.ints))] = random.choice(NUMBERS)
    elif way == 1:
        found.type = random.randrange(15)
    elif way == 2 and found.ints:
        del found.ints[random.randrange(len(found.ints)) :]
    else:
        found.i, found.f = random.choice(NUMBERS), random.choice(FLOATS)
        found.s = random.choice((b"linear", b"SAME_UPPER", b"\xff\xfe", b"", b"reflect", b"{x}%s"))


def _new_attribute(graph: GraphProto, random: Random) -> None:
    if node := _some(graph.node, random):
        new = node.attribute.add()
        new.name = random.choice(ATTRIBUTES)
        new.type = random.choice((1, 2, 3, 7))
        new.i, new.f, new.s = random.choice(NUMBERS), random.choice(FLOATS), b"edge"
        new.ints.extend(random.choice(NUMBERS) for _ in range(random.randrange(5)))


def _output(graph: GraphProto, random: Random) -> None:
    if value := _some(graph.output, random):
        value.name = random.choice(_names(graph))


FIELD_CHANGES: tuple[Callable[[GraphProto, Random], None], ...] = (
    _arity,
    _attribute,
    _attribute,
    _external,
    _initializer_bytes,
    _initializer_dims,
    _initializer_gone,
    _initializer_numbers,
    _initializer_numbers,
    _initializer_reshaped,
    _initializer_type,
    _input_rank,
    _input_shape,
    _input_shape,
    _input_type,
    _new_attribute,
    _node_gone,
    _node_twice,
    _operator,
    _operator,
    _operator,
    _order,
    _output,
    _read,
    _read,
    _written,
)
