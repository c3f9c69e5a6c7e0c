"""Folding batch normalization, and other per-channel scales, into the layer before."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from codesign.analysis.codes import few_levels
from codesign.analysis.steps import MONOTONE, no_order
from codesign.ir.const import Const
from codesign.ir.encoding import project
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass

FEW_BITS = 4  # of codes that thresholds make; with more, a multiply and an add cost less
LINEAR = {"conv": 0, "conv_transpose": 1, "linear": 0}  # kind: the weight's output axis


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold a batch norm into the convolution or linear layer that feeds it alone.

    w' = w * s, b' = (b - mean) * s + bias with s = scale / sqrt(var + epsilon) (Jacob et al., 2018,
    section 3.2), computed in float64. So do multiplications by and additions of constants that vary
    by channel alone. A batch norm that follows anything else becomes a multiply and an add, unless
    it stands between a layer that adds up codes and codes of few bits: there kernels make
    thresholds of it, and any other order of its steps would move some of them.

    Before:
        %a: tensor<1x4x6x6xf32> = conv(%x, %w)
        %y: tensor<1x4x6x6xf32> = batch_norm(%a, %s, %b, %m, %v)
    After:
        %a: tensor<1x4x6x6xf32> = conv(%x, %w, %a.bias)
    """

    name: ClassVar[str] = "fold-batch-norm"

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        while True:
            edit = Edit(graph)
            taken: set[str] = set()
            for node in graph.nodes:
                _rewrite(graph, node, edit, context, taken)
            changed = edit.graph()
            if changed is graph:
                return program.with_graph(graph)
            graph = changed


def _rewrite(graph: Graph, node: Node, edit: Edit, context: Context, taken: set[str]) -> None:
    """Fold `node` unless the layer before it is `taken`: changed in this round already."""
    folded = affine(graph, node)
    if folded is None:
        if node.kind == "batch_norm":
            context.note(node.name, "its statistics are no constants", done=False)
        return
    if _threshold(graph, node):
        return
    x, scale, shift = folded
    before = _foldable(graph, node, x, scale)
    if before is not None and before.name not in taken:
        _into(edit, graph, before, node, scale, shift)
        taken |= {before.name, node.name}
        context.note(before.name, f"{node.kind} %{node.name} folded into it")
    elif before is None and node.kind == "batch_norm":
        _as_multiply(edit, graph, node, scale, shift)
        context.note(node.name, "became a multiply and an add")


def _threshold(graph: Graph, node: Node) -> bool:
    """True if `node` lies on the way from sums of codes to codes."""
    chain, last = [node], node
    while (before := graph.producers.get(chain[0].operands[0])) and before.kind in MONOTONE:
        chain.insert(0, before)
    pooled = False  # codes are taken before pools, see `pools`
    while last.kind != "encode" and (after := graph.only_use(last.name)) is not None:
        pooled |= after.kind == "max_pool"
        if after.kind not in ({"encode", "max_pool"} if pooled else MONOTONE):
            break
        chain += [] if pooled else [after]
        last = after
    form = graph.types[last.name].grid
    if before is None or last.kind != "encode" or form is None or form.axis is not None:
        return False
    return form.code_bits <= FEW_BITS and not no_order(graph, before, chain)


Affine = tuple[str, np.ndarray, np.ndarray]  # value, scale and shift by channel in float64


def affine(graph: Graph, node: Node) -> Affine | None:
    """What `node` does if it scales and shifts the channels of one value, else None."""
    if isinstance(node.op, BatchNorm):
        return _normalization(graph, node, node.op.epsilon)
    if node.kind not in ("add", "sub", "mul", "div") or len(node.operands) != 2:
        return None
    x, other = node.operands
    if x in graph.constants and node.kind in ("add", "mul"):
        x, other = other, x
    vector = _by_channel(graph, x, other)
    if vector is None or graph.types[x] != graph.types[node.name]:
        return None
    ones, zeros = np.ones_like(vector), np.zeros_like(vector)
    if node.kind == "div" and not vector.all():
        return None
    if node.kind in ("add", "sub"):
        return x, ones, vector if node.kind == "add" else -vector
    return x, vector if node.kind == "mul" else 1 / vector, zeros


def _by_channel(graph: Graph, x: str, other: str) -> np.ndarray | None:
    """Constant `other` as a float64 vector over the channels of `x`, None if it is none."""
    kind, before = graph.types[x], graph.producers.get(x)
    if other not in graph.constants or not kind.dtype.is_float or before is None:
        return None
    array = graph.constants[other].array.astype(np.float64)
    axis = kind.rank - 1 if before.kind == "linear" else 1
    if axis >= kind.rank:
        return None
    shape = (1,) * (kind.rank - array.ndim) + array.shape
    if len(shape) > kind.rank or any(e != 1 for i, e in enumerate(shape) if i != axis):
        return None
    return np.broadcast_to(array.reshape(-1), (kind.shape[axis],)).copy()


def _normalization(graph: Graph, node: Node, epsilon: float) -> Affine | None:
    found = [graph.constants.get(v) for v in node.operands[1:]]
    if any(c is None for c in found):
        return None
    scale, bias, mean, var = (c.array.astype(np.float64) for c in found if c is not None)
    factor = scale / np.sqrt(var + epsilon)
    return node.operands[0], factor, bias - mean * factor


def _foldable(graph: Graph, node: Node, x: str, scale: np.ndarray) -> Node | None:
    """The layer that makes `x`, if `node` alone reads it and its weights are constant floats.

    They may be sparse: a scaled zero is zero. They may be binary or ternary, whose scales then
    change, and whose signs, if no `scale` is zero.
    """
    before = graph.producers.get(x)
    if before is None or before.kind not in LINEAR or graph.only_use(x) is not node:
        return None
    weights = before.operands[1:]
    plain = all(
        v in graph.constants and not graph.types[v].without("structure").encodings for v in weights
    )
    if not plain and few_levels(before, graph.types):
        plain = all(v in graph.constants for v in weights) and _rescalable(graph, before, scale)
    grouped = before.kind == "conv_transpose" and getattr(before.op, "groups", 1) > 1
    normed = node.kind == "batch_norm" and before.kind == "linear" and graph.types[x].rank > 2
    return before if plain and not grouped and not normed else None


def _into(
    edit: Edit, graph: Graph, layer: Node, node: Node, scale: np.ndarray, shift: np.ndarray
) -> None:
    weight = graph.constants[layer.operands[1]].array
    along = [1] * weight.ndim
    along[LINEAR[layer.kind]] = -1
    bias = graph.constants[layer.operands[2]].array if len(layer.operands) > 2 else 0.0
    dtype = weight.dtype
    value = layer.operands[1]
    scaled = (weight * scale.reshape(along)).astype(dtype)
    form = graph.types[value].grid
    if isinstance(form, Binary | Ternary):
        w = _rescaled(edit, scaled, value, form, np.abs(scale))
    else:
        w = edit.constant(scaled, value, graph.types[value].encodings)
    b = edit.constant((bias * scale + shift).astype(dtype), f"{layer.name}.bias")
    folded = edit.add(layer.op, layer.inputs[0], w, b, name=layer.name)
    edit.bequeath(layer.name, folded)
    edit.replace(node.name, folded)


def _rescalable(graph: Graph, layer: Node, scale: np.ndarray) -> bool:
    """True if the binary or ternary weight of `layer` can take on `scale`, and its bias too."""
    form = graph.types[layer.operands[1]].grid
    if any(graph.types[v].element is not None for v in layer.operands[2:]):
        return False
    rescaled = None if form is None else (form.scale.array * np.abs(scale)).astype(np.float32)
    return isinstance(form, Binary | Ternary) and rescaled is not None and bool(rescaled.all())


def _rescaled(
    edit: Edit, scaled: np.ndarray, value: str, form: Binary | Ternary, factor: np.ndarray
) -> str:
    """A constant of weight `scaled`, whose scales of `form` were multiplied with `factor`."""

    def times(const: Const) -> Const:
        return Const((const.array * factor).astype(np.float32))

    found: Binary | Ternary = replace(form, scale=times(form.scale), axis=0)
    if isinstance(found, Ternary):
        found = replace(found, threshold=times(found.threshold))
    return edit.constant(project((found,), scaled), value, (found,))


def _as_multiply(
    edit: Edit, graph: Graph, node: Node, scale: np.ndarray, shift: np.ndarray
) -> None:
    from codesign.ir.ops.elementwise import Add, Mul

    kind = graph.types[node.name]
    shape = (-1, *([1] * (kind.rank - 2)))
    factor = edit.constant(scale.astype(kind.dtype.numpy).reshape(shape), f"{node.name}.scale")
    offset = edit.constant(shift.astype(kind.dtype.numpy).reshape(shape), f"{node.name}.shift")
    product = edit.add(Mul(), node.inputs[0], factor, name=f"{node.name}.product")
    edit.replace(node.name, edit.add(Add(), product, offset, name=f"{node.name}.sum"))
