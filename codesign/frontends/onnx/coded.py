"""Codes on their way to layers: kept by what only moves elements, and those of biases settled.

%a: f32<binary> = encode(%x)                %a: f32<binary> = encode(%x)
%b: f32 = max_pool(%a)               ->     %b: f32<binary> = max_pool(%a)
%c: f32 = conv(%b, %w_binary)               %c: f32 = conv(%b, %w_binary)
"""

from dataclasses import replace

import numpy as np

from codesign.analysis.codes import sums_codes
from codesign.ir.const import Const
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.join import Pad
from codesign.ir.types import TensorType

LAYERS = frozenset({"conv", "linear"})
FEW_BITS = 3
MOVES = frozenset(
    {
        "concat", "depth_to_space", "expand", "expand_dims", "flatten", "max_pool", "pad",
        "reshape", "slice", "space_to_depth", "split", "squeeze", "tile", "transpose",
    }
)  # fmt: skip


def few_bits(graph: Graph, node: Node) -> bool:
    """Whether `node` is a layer of codes of which one factor has at most three bits."""
    if node.kind not in LAYERS:
        return False
    forms = [graph.types[v].grid for v in node.operands[:2]]
    return None not in forms and any(f.code_bits <= FEW_BITS for f in forms if f is not None)


def carry_codes(graph: Graph) -> Graph:
    """`graph` with codes on the results that layers of coded weights read through moves alone."""
    kept = _kept(graph)
    wanted: set[str] = set()
    for node in reversed(graph.nodes):
        if node.kind in LAYERS and graph.types[node.operands[1]].grid is not None:
            wanted |= {node.operands[0]} & kept.keys()
        if wanted.intersection(node.outputs):
            wanted |= set(node.operands) & kept.keys()
            wanted |= set(node.outputs)
    return graph.with_types({v: graph.types[v].with_encoding(kept[v]) for v in wanted})


def _kept(graph: Graph) -> dict[str, Grid]:
    """The encoding that moves keep for each plain result; those with one scale alone are kept."""
    kept: dict[str, Grid] = {}
    for node in graph.nodes:
        if node.kind not in MOVES or any(graph.types[v].encodings for v in node.outputs):
            continue
        data = [v for v in node.operands if graph.types[v].dtype.is_float]
        forms = {kept.get(v) or graph.types[v].grid for v in data}
        form = forms.pop() if len(forms) == 1 else None
        if form is None or form.axis is not None or not _stays(node, form):
            continue
        if any(v in graph.constants for v in data):
            continue
        kept |= dict.fromkeys(node.outputs, form)
    return kept


def _stays(node: Node, form: Grid) -> bool:
    """Whether what `node` gives for values of `form` is of `form` as well."""
    if node.kind == "max_pool":
        return len(node.outputs) == 1
    if isinstance(node.op, Pad) and node.op.mode == "constant":
        filled = np.float32(node.op.value)
        held = form.decode(form.encode(filled.reshape(1)), (1,))
        return bool(held[0] == filled)
    return True


def settle_biases(graph: Graph) -> Graph:
    """`graph` with biases in the codes of their layers' accumulators, or in floats.

    A bias that was quantized to another scale has no place among the sums: its values stay.
    """
    types = dict(graph.types)
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        bias = node.operands[2] if node.kind in LAYERS and len(node.operands) > 2 else ""
        if bias in graph.constants and types[bias].integer is not None:
            found = _accumulated(graph, node, bias)
            if found != graph.types[bias]:
                name = bias if graph.only_use(bias) is node else f"{node.name}.{bias}"
                types[name], constants[name] = found, graph.constants[bias]
                node = replace(node, inputs=(*node.inputs[:2], name))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), types=types, constants=constants)


def _accumulated(graph: Graph, layer: Node, bias: str) -> TensorType:
    """The type of a quantized bias of `layer`."""
    kind, have = graph.types[bias], graph.types[bias].integer
    x, w = (graph.types[v].grid for v in layer.operands[:2])
    assert have is not None
    wide = have.width == ACCUMULATOR_BITS and have.symmetric
    if x is None or w is None or not sums_codes(layer, graph.types):
        return kind if wide else kind.dense
    scale = x.scale.array * w.scale.array
    if wide and np.allclose(have.scale.array, scale, rtol=1e-5, atol=0):
        return kind
    axis = 0 if scale.ndim else None
    form = Int(ACCUMULATOR_BITS, Const(scale), Const(np.zeros_like(scale, np.int32)), axis=axis)
    array = graph.constants[bias].array
    same = np.array_equal(form.decode(form.encode(array), array.shape), array)
    return kind.with_encoding(form) if same else kind.dense
