"""The text form of types, graphs and programs; `codesign.ir.parse` reads it back.

    graph net(%x: tensor<1x3x8x8xf32>) {
      const %w: tensor<4x3x3x3xf32, nm<2, 4>, int<8, scale=f32:0.1>> = @3f2a...
      %y: tensor<1x4x6x6xf32> = conv(%x, %w)
      return %y as "logits"
    }
    place "cpu" {
      conv-direct(%y) {tile=7}
    }

Constants above four elements are named by the first 24 digits of their digest; their content lies
beside the text. The leading values of an encoding are its first fields (`nm<2, 4>`).
"""

import json
import re
from dataclasses import fields

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.dtype import from_numpy
from codesign.ir.encoding import Encoding
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.program import Assignment, Program
from codesign.ir.types import TensorType

INLINE = 4
DIGITS = 24
_PLAIN = re.compile(r"[A-Za-z0-9_./\-]+\Z")
_WORD = re.compile(r"(?!(?:inf|nan)(?![\w\-]))[A-Za-z_][\w\-]*\Z", re.ASCII)


def print_value(name: str) -> str:
    """`%name`, quoted when it holds more than letters, digits and `_./-`."""
    return f"%{name}" if _PLAIN.match(name) else f"%{json.dumps(name)}"


def print_word(name: str) -> str:
    """The name of a kernel or an attribute, quoted when it is no word."""
    return name if _WORD.match(name) else json.dumps(name)


def print_const(const: Const) -> str:
    """`f32:0.5`, `i32:[1, 2]`, or `@digest` for more than four elements."""
    array, kind = const.array, from_numpy(const.array.dtype)
    if not 0 < array.size <= INLINE or array.ndim > 1 or (array != array).any():
        return f"@{const.digest[:DIGITS]}"
    flat = ", ".join(_scalar(element) for element in const.array.reshape(-1))
    return f"{kind}:[{flat}]" if const.array.ndim else f"{kind}:{flat}"


def _scalar(element: np.generic) -> str:
    if isinstance(element, np.floating):  # the fewest digits that tell it from its neighbours
        return repr(float(np.format_float_scientific(element, unique=True)))
    return str(element.item()).lower() if isinstance(element, np.bool_) else str(element.item())


def print_literal(value: object) -> str:
    """An attribute: numbers, booleans, quoted strings, none, constants, and tuples of those."""
    if isinstance(value, tuple):
        return f"({', '.join(print_literal(item) for item in value)})"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value))
    if isinstance(value, Const):
        return print_const(value)
    raise VerificationError(f"{value!r} ({type(value).__name__}) has no text form")


def _fields(thing: Op | Encoding, positional: int = 0) -> list[str]:
    """The first `positional` values, then `name=value` of those that differ from their defaults."""
    plain = type(thing)()
    values = [(f.name, getattr(thing, f.name), getattr(plain, f.name)) for f in fields(thing)]
    first = [print_literal(value) for _, value, _ in values[:positional]]
    rest = values[positional:]
    return first + [
        f"{name}={print_literal(value)}" for name, value, usual in rest if value != usual
    ]


def print_encoding(encoding: Encoding) -> str:
    """`kind<value, field=value, ...>`: the positional fields, then what is not the default."""
    return f"{encoding.kind}<{', '.join(_fields(encoding, encoding.positional))}>"


def print_type(kind: TensorType) -> str:
    """`tensor<1x3x8x8xf32, encoding, ...>`."""
    head = "x".join([*(str(extent) for extent in kind.shape), str(kind.dtype)])
    return f"tensor<{', '.join([head, *(print_encoding(e) for e in kind.encodings)])}>"


def print_node(graph: Graph, node: Node) -> str:
    """`%y: type = kind(%x, none) {attribute=value}` on one line."""
    results = ", ".join(
        f"{print_value(v)}: {print_type(graph.types[v])}" if v in graph.types else print_value(v)
        for v in node.outputs
    )
    inputs = ", ".join("none" if v is None else print_value(v) for v in node.inputs)
    attributes = _fields(node.op)
    tail = f" {{{', '.join(attributes)}}}" if attributes else ""
    return f"{results} = {node.kind}({inputs}){tail}"


def print_graph(graph: Graph) -> str:
    """The whole graph, constants first."""
    inputs = ", ".join(f"{print_value(v)}: {print_type(graph.types[v])}" for v in graph.inputs)
    lines = [f"graph {json.dumps(graph.name)}({inputs}) {{"]
    for name, const in graph.constants.items():
        kind = print_type(graph.types[name])
        lines.append(f"  const {print_value(name)}: {kind} = {print_const(const)}")
    lines += [f"  {print_node(graph, node)}" for node in graph.nodes]
    outputs = zip(graph.outputs, graph.output_names, strict=True)
    returned = ", ".join(
        print_value(value) if value == name else f"{print_value(value)} as {json.dumps(name)}"
        for value, name in outputs
    )
    return "\n".join([*lines, f"  return {returned}".rstrip(), "}"]) + "\n"


def print_assignment(assignment: Assignment) -> str:
    """`kernel(%nodes) {point}` on one line."""
    nodes = ", ".join(print_value(name) for name in assignment.nodes)
    point = [f"{print_word(name)}={print_literal(value)}" for name, value in assignment.point]
    tail = f" {{{', '.join(point)}}}" if point else ""
    return f"{print_word(assignment.kernel)}({nodes}){tail}"


def print_program(program: Program) -> str:
    """Graph and placement."""
    text = print_graph(program.graph)
    if program.target or program.placement:
        body = "".join(f"  {print_assignment(a)}\n" for a in program.placement)
        text += f"place {json.dumps(program.target)} {{\n{body}}}\n"
    return text


def named_constants(graph: Graph) -> dict[str, Const]:
    """The constants, scales and tables that the text only names, by their printed digits."""
    found = list(graph.constants.values())
    for kind in graph.types.values():
        for e in kind.encodings:
            found += [v for f in fields(e) if isinstance(v := getattr(e, f.name), Const)]
    return {c.digest[:DIGITS]: c for c in found if print_const(c).startswith("@")}
