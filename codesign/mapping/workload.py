"""A group on its own: the text by which equal work is known, and a graph of nothing else.

Two groups are the same work if they differ only in the names of values and in the content of
weights and scales. Of weights that are stored sparse, the share of nonzeros counts too.
"""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encoding import Encoding
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.ops.encode import Decode, Encode
from codesign.ir.text import print_literal
from codesign.ir.types import TensorType
from codesign.mapping.group import Group

DENSITY_DIGITS = 2
COUNTS = frozenset({"nnz"})


def signature(group: Group) -> str:
    """The text of `group` with canonical names, without layouts, weights and scales.

    k0: 64x64x3x3 f32; x0: 1x64x56x56 f32; y0: 1x64x56x56 f32 = conv(x0, k0){pads=((1, 1), (1, 1))}
    """
    names = _names(group)
    parts = [f"{names[v]}: {_describe(group, v)}" for v in sorted(group.operands, key=names.get)]  # type: ignore[arg-type]
    for node in group.nodes:
        results = ", ".join(f"{names[v]}: {_describe(group, v)}" for v in node.outputs)
        inputs = ", ".join("none" if v is None else names[v] for v in node.inputs)
        parts.append(f"{results} = {node.kind}({inputs}){{{', '.join(_settings(node.op))}}}")
    return "; ".join(parts)


def extracted(group: Group, name: str = "task") -> Graph:
    """A graph that computes `group` alone, from and to plain values; all names stay.

    Operands that the group reads as codes are encoded in front, results that are codes decoded
    behind, so that inputs and outputs are floats.
    """
    types = {v: group.type(v).without("layout") for v in group.operands}
    types |= {v: group.type(v).without("layout") for node in group.nodes for v in node.outputs}
    constants = {v: group.graph.constants[v] for v in group.operands if v in group.graph.constants}
    inputs, outputs, nodes = [], [], list(group.nodes)
    for value in group.variables:
        inputs.append(source := _beside(value, types) if types[value].encodings else value)
        if source != value:
            types[source] = TensorType(types[value].shape, types[value].dtype)
            nodes.insert(0, Node(Encode(), (source,), (value,)))
    for value in group.outputs:
        outputs.append(result := _beside(value, types) if types[value].encodings else value)
        if result != value:
            types[result] = TensorType(types[value].shape, types[value].dtype)
            nodes.append(Node(Decode(), (value,), (result,)))
    ends = tuple(outputs)
    return Graph(name, tuple(inputs), ends, ends, tuple(nodes), types, constants)


def operations(group: Group) -> int:
    """Arithmetic operations of the group: two a multiply-accumulate, or one an element."""
    macs = group.macs
    return 2 * macs if macs else sum(int(np.prod(group.type(v).shape)) for v in group.outputs)


def _names(group: Group) -> dict[str, str]:
    """k0, k1, ... for constants, x0, ... for other operands, y0, ... for results."""
    names: dict[str, str] = {}
    count = dict.fromkeys("kxy", 0)
    made = [v for node in group.nodes for v in node.outputs]
    for value in (*group.operands, *made):
        letter = "y" if value in made else "k" if value in group.graph.constants else "x"
        names[value] = f"{letter}{count[letter]}"
        count[letter] += 1
    return names


def _describe(group: Group, value: str) -> str:
    """Shape, element type and encodings of a value, and its density if it is stored sparse."""
    kind: TensorType = group.type(value).without("layout")
    words = ["x".join(str(extent) for extent in kind.shape) or "scalar", str(kind.dtype)]
    words += [f"{e.kind}<{', '.join(_settings(e))}>" for e in kind.encodings]
    constant = group.graph.constants.get(value)
    if constant is not None and any(e.role == "structure" for e in kind.encodings):
        words.append(f"density {_density(constant):.{DENSITY_DIGITS}g}")
    return " ".join(words)


def _density(constant: Const) -> float:
    return float(np.count_nonzero(constant.array)) / max(1, constant.array.size)


def _settings(thing: Op | Encoding) -> list[str]:
    """The fields that differ from their defaults; of constants only their shape and zeroness."""
    usual = type(thing)()
    found = []
    for field in fields(thing):
        if field.name in COUNTS:  # told by the density
            continue
        value = getattr(thing, field.name)
        if isinstance(value, Const):
            shown = "x".join(str(extent) for extent in value.array.shape) or "scalar"
            found.append(f"{field.name}={shown}{'' if value.array.any() else ' zeros'}")
        elif value != getattr(usual, field.name):
            found.append(f"{field.name}={print_literal(value)}")
    return found


def _beside(value: str, types: Mapping[str, TensorType]) -> str:
    """A name for the plain form of `value`."""
    name = f"{value}.plain"
    while name in types:
        name += "_"
    return name
