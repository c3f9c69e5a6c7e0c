"""Integer codes in the one form that kernels compute with, whoever quantized the model.

Activations are unsigned, weights signed and symmetric, biases in the codes of their accumulator,
and ops that only move elements keep the encoding. All of this is exact, but for biases, which are
rounded; those of binary and ternary layers stay floats. Layers that cannot be computed on codes
decode their operands and encode their results.
"""

from dataclasses import dataclass, replace

import numpy as np

from codesign.analysis.codes import few_levels, row_codes, table_of
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Decode, Encode
from codesign.ir.ops.resize import Resize
from codesign.passes.simplify.pools import pooled
from codesign.rewrite.context import Target
from codesign.rewrite.edit import Edit

LAYERS = frozenset({"conv", "linear"})
CLAMPS = frozenset({"relu", "clip"})
BORDERS = frozenset({"encode", "decode", "codes", "relayout"})
MEANS = frozenset({"avg_pool", "reduce_mean"})
SIGNS = frozenset({"expand_dims", "flatten", "max_pool", "reshape", "squeeze"})  # move signs
MOVES = frozenset(
    {
        "concat", "depth_to_space", "embedding", "expand", "expand_dims", "flatten", "gather",
        "max_pool", "pad", "reshape", "resize", "slice", "space_to_depth", "split", "squeeze",
        "tile", "transpose",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """What layers compute on: codes of at most `bits`, by plain windows or by `any_window`."""

    bits: int = 8
    any_window: bool = False


def reach_of(target: Target | None) -> Reach:
    """What layers compute on for `target`.

    A target that offers more than 8 bits, or that takes no floats, is taken to be general.
    """
    pairs = [pair for kind in sorted(LAYERS) for pair in target.widths(kind)] if target else []
    general = any(pair != (8, 8) for pair in pairs) or (target is not None and not target.floats)
    return Reach(max((8, *(max(pair) for pair in pairs))), general)


def unify(graph: Graph, reach: Reach = Reach()) -> Graph:
    """`graph` with its codes in that form; `graph` itself if they are, or if it has none."""
    if not any(kind.grid is not None for kind in graph.types.values()):
        return graph
    return _settled(_retyped(pooled(graph)), reach)


def _retyped(graph: Graph) -> Graph:
    """Steps that change types only."""
    edit = Edit(graph)
    read = {node.operands[0] for node in graph.walk("codes")}
    for value, kind in graph.types.items():
        form = kind.integer
        if form is not None and value not in graph.constants and value not in read:
            edit.set_type(value, kind.with_encoding(_unsigned(form)))
    for node in graph.nodes:
        if node.kind in LAYERS and node.operands[1] in graph.constants:
            kind = graph.types[node.operands[1]]
            if kind.integer is not None:
                edit.set_type(node.operands[1], kind.with_encoding(_signed(kind.integer)))
        if node.kind in LAYERS:
            _clamped(graph, node, edit)
    return edit.graph()


def _unsigned(form: Int) -> Int:
    """The same values in unsigned codes, as far as `form` has one scale and at most 8 bits."""
    if not form.signed or form.axis is not None or form.width > 8:
        return form
    zero = int(form.zero.array) + (1 << (form.width - 1))
    return replace(form, signed=False, zero=Const(zero, "int32"))


def _signed(form: Int) -> Int:
    """The same values in signed symmetric codes, if the zero points are all in the middle."""
    middle = 1 << (form.width - 1)
    if form.signed or form.width > 8 or not (form.zero.array == middle).all():
        return form
    return replace(form, signed=True, zero=Const(np.zeros_like(form.zero.array), "int32"))


def _clamped(graph: Graph, node: Node, edit: Edit) -> None:
    """A layer's plain result that only a clamp with encoded result reads is encoded like that."""
    reader, kind = graph.only_use(node.name), graph.types[node.name]
    if reader is None or reader.kind not in CLAMPS or kind.element is not None:
        return
    form = edit.type(reader.name).integer
    if form is not None and graph.types[node.operands[0]].integer is not None:
        edit.set_type(node.name, kind.with_encoding(form))


def _settled(graph: Graph, reach: Reach) -> Graph:
    """Steps that add nodes."""
    edit = Edit(graph)
    for node in graph.nodes:
        values = [v for v in (*node.operands, *node.outputs) if v not in graph.constants]
        coded = any(graph.types[v].grid is not None for v in values)
        if not coded or node.kind in BORDERS or node.op.elementwise:
            continue
        if node.kind in LAYERS and _few(graph, node, reach):
            continue
        if node.kind in LAYERS and _computes(graph, node, reach):
            _bias(graph, node, edit)
        elif node.kind in MOVES and _keeps(graph, node):
            _move(graph, node, edit)
        elif node.kind not in MEANS or not _averages(graph, node, reach):
            _decode(graph, node, edit)
    return edit.graph()


def _computes(graph: Graph, node: Node, reach: Reach) -> bool:
    """True if the layer multiplies unsigned codes by constant, signed, symmetric ones."""
    x, w = (graph.types[v].integer for v in node.operands[:2])
    if x is None or w is None or node.operands[1] not in graph.constants:
        return False
    if x.signed or x.width > reach.bits or x.axis is not None:
        return False
    if not w.signed or w.width > reach.bits or not w.symmetric or w.axis not in (None, 0):
        return False
    if len(node.operands) > 2 and node.operands[2] not in graph.constants:
        return False
    return reach.any_window or plain_window(graph, node)


def _few(graph: Graph, node: Node, reach: Reach) -> bool:
    """True if the layer counts bits, or adds up codes with binary or ternary weights."""
    constants = all(v in graph.constants for v in node.operands[1:])
    if not constants or not few_levels(node, graph.types):
        return False
    x, w = (graph.types[v].grid for v in node.operands[:2])
    if isinstance(x, Int):
        fits = not x.signed and x.width <= reach.bits
        return fits and (reach.any_window or plain_window(graph, node))
    whole = not isinstance(node.op, Conv) or (node.op.groups == 1 and len(node.op.strides) <= 2)
    return isinstance(x, Binary) and w is not None and (reach.any_window or whole)


def plain_window(graph: Graph, node: Node) -> bool:
    """True for linear layers, and convolutions over one or two axes in one group or by channel."""
    if not isinstance(node.op, Conv):
        return True
    channels, each, *taps = graph.types[node.operands[1]].shape
    return len(taps) <= 2 and (node.op.groups == 1 or (each == 1 and node.op.groups == channels))


def _bias(graph: Graph, node: Node, edit: Edit) -> None:
    """Put a bias of floats, or of other codes, into those of the layer's accumulator."""
    x, w = (graph.types[v].integer for v in node.operands[:2])
    if len(node.operands) < 3 or x is None or w is None:
        return
    scale = x.scale.array * w.scale.array
    zero = np.zeros_like(scale, np.int32)
    form = Int(ACCUMULATOR_BITS, Const(scale), Const(zero), axis=0 if scale.ndim else None)
    have = graph.types[node.operands[2]].integer
    wide = have is not None and have.width == ACCUMULATOR_BITS and have.symmetric
    if wide and have is not None and np.allclose(have.scale.array, scale, rtol=1e-5, atol=0):
        return
    array = graph.constants[node.operands[2]].array
    rounded = form.decode(form.encode(array), array.shape)
    bias = edit.constant(rounded, node.operands[2], (form,))
    added = edit.add(
        node.op, *node.operands[:2], bias, name=node.name, types=graph.output_types(node)
    )
    edit.replace(node.name, added)


def _keeps(graph: Graph, node: Node) -> bool:
    """True if the op moves codes of one scale to one result, or to several of one encoding.

    So does one that reads rows of a constant table of codes with a scale by column.
    """
    forms = {graph.types[v].grid for v in node.outputs}
    form = next(iter(forms))
    if isinstance(form, Binary) and node.kind in SIGNS:
        return len(forms) == 1 and all(graph.types[v].grid == form for v in _moved(graph, node))
    if len(forms) > 1 or not isinstance(form, Int):
        return False
    if form.axis is not None:
        table = table_of(node)
        if table is None or table not in graph.constants:
            return False
        return row_codes(graph.types[table], graph.types[node.name].rank) == form
    if node.kind == "max_pool" and (len(node.outputs) > 1 or form.signed):
        return False
    if isinstance(node.op, Resize) and node.op.mode != "nearest":
        return False
    return all(graph.types[v].integer is not None for v in _moved(graph, node))


def _moved(graph: Graph, node: Node) -> list[str]:
    """The operands whose elements are moved."""
    return [v for v in node.operands if v not in graph.constants and graph.types[v].dtype.is_float]


def _move(graph: Graph, node: Node, edit: Edit) -> None:
    """Bring the operands into the encoding of the result."""
    form, moved = graph.types[node.name].grid, dict.fromkeys(_moved(graph, node))
    assert form is not None
    if all(graph.types[v].grid == form for v in moved):
        return
    recoded: dict[str | None, str] = {}
    for value in moved:
        kind = graph.types[value].with_encoding(form)
        if kind != graph.types[value]:
            recoded[value] = edit.add(Encode(), value, name=f"{value}.codes", types=[kind])
    inputs = [recoded.get(value, value) for value in node.inputs]
    results = edit.results(node.op, *inputs, name=node.name, types=graph.output_types(node))
    for old, new in zip(node.outputs, results, strict=True):
        edit.replace(old, new)


def _averages(graph: Graph, node: Node, reach: Reach) -> bool:
    """True for means of codes over one or two spatial axes, or over windows without padding."""
    forms = [graph.types[v].integer for v in (node.operands[0], node.name)]
    if any(f is None or f.axis is not None or f.signed or f.width > reach.bits for f in forms):
        return False
    rank = graph.types[node.operands[0]].rank
    if node.kind == "reduce_mean":
        axes = tuple(sorted(a % rank for a in node.op.axes))  # type: ignore[attr-defined]
        return rank in (3, 4) and axes == tuple(range(2, rank))
    return rank <= 4 and not any(any(pad) for pad in node.op.pads)  # type: ignore[attr-defined]


def _decode(graph: Graph, node: Node, edit: Edit) -> None:
    """Let `node` compute on numbers, between decode and encode nodes."""
    inputs: list[str | None] = []
    for value in node.inputs:
        form = None if value is None else graph.types[value].grid
        if value is None or form is None:
            inputs.append(value)
        elif value in graph.constants:
            others = graph.types[value].without("element").encodings
            inputs.append(edit.constant(graph.constants[value], value, others))
        else:
            inputs.append(edit.add(Decode(), value, name=f"{value}.plain"))
    results = edit.results(node.op, *inputs, name=f"{node.name}.plain")
    for old, new in zip(node.outputs, results, strict=True):
        kind = graph.types[old]
        if kind.element is not None:
            new = edit.add(Encode(), new, name=f"{old}.codes", types=[kind])
        edit.replace(old, new)
