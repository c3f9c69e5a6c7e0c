"""Folding batch normalization, and other per-channel scales, into the layer before."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass

LINEAR = {"conv": 0, "conv_transpose": 1, "linear": 0}  # kind: the weight's output axis


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold a batch norm into the convolution or linear layer that feeds it alone.

    w' = w * s, b' = (b - mean) * s + bias with s = scale / sqrt(var + epsilon) (Jacob et al., 2018,
    section 3.2), computed in float64. One that follows anything else becomes a multiply and an add.

    Before:
        %a: tensor<1x4x6x6xf32> = conv(%x, %w)
        %y: tensor<1x4x6x6xf32> = batch_norm(%a, %s, %b, %m, %v)
    After:
        %y: tensor<1x4x6x6xf32> = conv(%x, %w_1, %b_1)
    """

    name: ClassVar[str] = "fold-batch-norm"

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        edit = Edit(graph)
        for node in graph.walk("batch_norm"):
            folded = _affine(graph, node)
            if folded is None:
                context.note(node.name, "its statistics are no constants", done=False)
                continue
            scale, shift = folded
            before = _foldable(graph, node)
            if before is None:
                _as_multiply(edit, graph, node, scale, shift)
                context.note(node.name, "became a multiply and an add")
            else:
                _into(edit, graph, before, node, scale, shift)
                context.note(node.name, f"folded into {before.kind} %{before.name}")
        return program.with_graph(edit.graph())


def _affine(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
    """The batch norm as scale and shift by channel, in float64."""
    found = [graph.constants.get(v) for v in node.operands[1:]]
    if not isinstance(node.op, BatchNorm) or any(c is None for c in found):
        return None
    scale, bias, mean, var = (c.array.astype(np.float64) for c in found if c is not None)
    factor = scale / np.sqrt(var + node.op.epsilon)
    return factor, bias - mean * factor


def _foldable(graph: Graph, node: Node) -> Node | None:
    """The layer before, if its weights are plain constants and its result is read here alone."""
    x = node.operands[0]
    before = graph.producers.get(x)
    if before is None or before.kind not in LINEAR or graph.only_use(x) is not node:
        return None
    weights = before.operands[1:]
    plain = all(v in graph.constants and not graph.types[v].encodings for v in weights)
    grouped = before.kind == "conv_transpose" and getattr(before.op, "groups", 1) > 1
    matches = before.kind != "linear" or graph.types[x].rank == 2
    return before if plain and matches and not grouped else None


def _into(
    edit: Edit, graph: Graph, layer: Node, node: Node, scale: np.ndarray, shift: np.ndarray
) -> None:
    weight = graph.constants[layer.operands[1]].array
    along = [1] * weight.ndim
    along[LINEAR[layer.kind]] = -1
    bias = graph.constants[layer.operands[2]].array if len(layer.operands) > 2 else 0.0
    dtype = weight.dtype
    w = edit.constant((weight * scale.reshape(along)).astype(dtype), layer.operands[1])
    b = edit.constant((bias * scale + shift).astype(dtype), f"{layer.name}.bias")
    edit.replace(node.name, edit.add(layer.op, layer.inputs[0], w, b, name=layer.name))


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
