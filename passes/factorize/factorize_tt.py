"""Tensor trains that are executed as chains of small layers."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from codesign.errors import UsageError
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.program import Program
from codesign.passes.factorize.chain import chain_latency_ms, pays, replace_by
from codesign.passes.factorize.tensor_train import ConvTrain, MatrixTrain, split
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import plain_layers
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.price import node_latency_ms

GRID = (0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True)
class FactorizeTt(Pass):
    """Replace layers by tensor trains (Oseledets, 2011), executed as chains of smaller layers.

    A k x k convolution becomes 1x1, k x k, 1x1 (the train over input channels, taps and output
    channels); a linear layer or 1x1 convolution two products over split features with a
    transposition between. `by` says how ranks are found: `energy` (keep this share of the squared
    weights), `error` (relative Frobenius error at most this), `cost` (the most energy at which the
    target's latency is at most `keep` of the layer's). A layer that would not get faster on the
    target, or smaller without one, stays, unless `slower` allows it.

    Before:
        %y: tensor<1x64x8x8xf32> = conv(%x, %w) {pads=((1, 1), (1, 1))}
    After:
        %y.core0: tensor<1x16x8x8xf32> = conv(%x, %w.core0)
        %y.core1: tensor<1x16x8x8xf32> = conv(%y.core0, %w.core1) {pads=((1, 1), (1, 1))}
        %y: tensor<1x64x8x8xf32> = conv(%y.core1, %w.core2)
    """

    name: ClassVar[str] = "factorize-tt"

    by: Literal["energy", "error", "cost"] = "energy"
    keep: float = 0.9
    error: float = 0.1
    slower: bool = False
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("keep", "error"):
            value = getattr(self, option)
            if not 0 < value < 1:
                raise UsageError(f"{self.name}: {option} is {value}, expected between 0 and 1")

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        edit = Edit(graph)
        for node in plain_layers(graph, self.skip, context, self.name):
            train = self._train(graph, node, context)
            if train is None:
                continue
            whole = graph.types[node.operands[1]].size
            if train.size >= whole and not self.slower:
                context.note(node.name, f"{train.ranks}: would not be smaller", done=False)
                continue
            text = f"{train.ranks}: {train.size / whole:.0%} of its weights"
            if pays(context, graph, node, train.chain(), text, self.slower):
                replace_by(edit, node, train.chain())
        return program.with_graph(edit.graph())

    def _train(self, graph: Graph, node: Node, context: Context) -> ConvTrain | MatrixTrain | None:
        why = _refusal(graph, node)
        if why:
            context.note(node.name, why, done=False)
            return None
        if self.by == "energy":
            return _decompose(graph, node, self.keep)
        if self.by == "error":
            return _decompose(graph, node, 1 - self.error**2)
        target = context.need_target(self.name)
        limit = node_latency_ms(target, graph, node) * self.keep
        for energy in GRID:
            train = _decompose(graph, node, energy)
            if chain_latency_ms(target, graph, node, train.chain()) <= limit:
                return train
        context.note(node.name, f"no train takes {self.keep:.0%} of its time", done=False)
        return None


def _pointwise(graph: Graph, node: Node) -> bool:
    """True if a pixel's result depends on that pixel alone."""
    if not isinstance(node.op, Conv):
        return True
    taps = graph.types[node.operands[1]].shape[2:]
    plain = all(s == 1 for s in node.op.strides) and not any(any(p) for p in node.op.pads)
    return plain and all(t == 1 for t in taps)


def _refusal(graph: Graph, node: Node) -> str:
    """Why the layer has no train, "" if it has."""
    shape = graph.types[node.operands[1]].shape
    if isinstance(node.op, Conv) and node.op.groups > 1:
        return "grouped convolutions have small weights"
    if _pointwise(graph, node) and 1 in (split(shape[0])[0], split(shape[1])[0]):
        return f"{shape[0]} or {shape[1]} features cannot be split into two factors"
    return ""


def _decompose(graph: Graph, node: Node, energy: float) -> ConvTrain | MatrixTrain:
    made = MatrixTrain if _pointwise(graph, node) else ConvTrain
    return made(graph, node, energy)
