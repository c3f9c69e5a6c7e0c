"""Random graphs and programs with odd names, odd shapes and every kind of encoding."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops import OPS
from codesign.ir.ops.join import Split
from codesign.ir.program import Assignment, Literal, Program
from tests.ir.encodings_strategies import encodings

NAMES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["none", "a b", 'q"', "new\nline", "back\\", "é", "%x", "@0f", "x:1", "0", ""]),
    st.from_regex(r"[a-z][a-z0-9_./-]{0,5}", fullmatch=True),
)
SHAPES = st.sampled_from([(), (1,), (0,), (3,), (2, 3), (2, 0), (1, 1, 4)])
FLOATS = st.floats(width=32)


def literals() -> st.SearchStrategy[Literal]:
    """Attributes that text holds, NaN aside (it is not equal to itself)."""
    numbers = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=4)
    return st.recursive(numbers, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)


@st.composite
def unary_ops(draw: st.DrawFn) -> Op:
    """Element-wise ops of one input with random attributes."""
    kind = draw(st.sampled_from(["relu", "clip", "leaky_relu", "elu", "decode", "neg"]))
    attributes = {}
    if kind == "clip":
        attributes = {
            "low": draw(st.floats(allow_nan=False)),
            "high": draw(st.sampled_from([6, 6.5])),
        }
    if kind in ("leaky_relu", "elu"):
        attributes = {"alpha": draw(st.floats(allow_nan=False))}
    return OPS[kind](**attributes)


@st.composite
def constants(draw: st.DrawFn) -> Const:
    """Arrays of every element type, few of them large enough to stand beside the text."""
    dtype = draw(st.sampled_from(DType)).numpy
    return Const(draw(hnp.arrays(dtype, draw(SHAPES))))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Chains and sums of element-wise ops over a few inputs and constants."""
    b = Builder(draw(NAMES))
    shape = draw(SHAPES)
    values = [b.input(draw(NAMES), shape) for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 2))):
        array = draw(hnp.arrays(np.float32, shape, elements=FLOATS))
        values.append(b.constant(array, draw(NAMES), draw(encodings(shape))))
    for _ in range(draw(st.integers(0, 2))):
        b.constant(draw(constants()), draw(NAMES))
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            value = b.op(draw(unary_ops()), draw(st.sampled_from(values)), name=draw(NAMES))
        else:
            op = OPS[draw(st.sampled_from(["add", "mul"]))]()
            pair = draw(st.tuples(st.sampled_from(values), st.sampled_from(values)))
            value = b.op(op, *pair, name=draw(NAMES))
        values.append(value)
    if draw(st.booleans()):
        split = Split(1, (1, 0, 1))
        values += b.results(split, b.input("wide", (1, 2)), names=[draw(NAMES)])
    outputs = draw(st.lists(st.sampled_from(values), max_size=3))
    names = draw(st.lists(NAMES, min_size=len(outputs), max_size=len(outputs), unique=True))
    types = {
        value: b.types[value].with_encoding(e)
        for value in values
        if value not in b.constants and draw(st.booleans())
        for e in draw(encodings(b.types[value].shape))[:1]
    }
    b.types |= types
    return b.graph(*outputs, output_names=names)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A graph, placed or not, each node by itself."""
    graph = draw(graphs())
    if not draw(st.booleans()):
        return Program(graph, draw(NAMES))
    points = st.dictionaries(NAMES, literals(), max_size=3).map(lambda d: tuple(d.items()))
    placement = tuple(Assignment(draw(NAMES), (node.name,), draw(points)) for node in graph.nodes)
    return Program(graph, draw(NAMES), placement)
