"""Two thin layers for one thick one."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import UsageError
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Program
from codesign.passes.factorize.chain import Chain, Maker, chain_latency_ms, pays, replace_by
from codesign.passes.factorize.low_rank import Spectrum, largest_rank, spectrum
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import plain_layers
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.price import node_latency_ms

RANK_STEP = 8


@dataclass(frozen=True)
class FactorizeSvd(Pass):
    """Replace linear layers and convolutions by two of a lower rank.

    A linear layer [N, K] becomes K -> r -> N; a convolution [M, C, kh, kw] a kh x kw one to r
    channels and a 1x1 one to M (Zhang et al., "Accelerating very deep convolutional networks",
    2016). `by` says how r is found: `energy` (the least that keeps this share of the squared
    weights), `error` (relative Frobenius error of the weight at most this), or `cost` (the largest
    at which the target's latency is at most `keep` of the layer's). A layer that would not get
    faster on the target, or smaller without one, stays, unless `slower` allows it.

    Before:
        %y: tensor<1x512xf32> = linear(%x, %w)
    After:
        %y.inner: tensor<1x32xf32> = linear(%x, %w.v)
        %y: tensor<1x512xf32> = linear(%y.inner, %w.u)
    """

    name: ClassVar[str] = "factorize-svd"

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
            if isinstance(node.op, Conv) and node.op.groups > 1:
                context.note(node.name, "grouped convolutions have small weights", done=False)
                continue
            pair = _Pair(graph, node)
            rank = self._rank(pair, context)
            if rank is None or not self._smaller(pair, rank, context):
                continue
            text = f"rank {rank} keeps {pair.spectrum.energy(rank):.1%} of its energy"
            if pays(context, graph, node, pair.chain(rank), text, self.slower):
                replace_by(edit, node, pair.chain(rank))
        return program.with_graph(edit.graph())

    def _rank(self, pair: "_Pair", context: Context) -> int | None:
        if self.by == "energy":
            return pair.spectrum.rank_for(self.keep)
        if self.by == "error":
            return pair.spectrum.rank_for(1 - self.error**2)
        target = context.need_target(self.name)
        limit = node_latency_ms(target, pair.graph, pair.node) * self.keep

        def fits(rank: int) -> bool:
            return chain_latency_ms(target, pair.graph, pair.node, pair.chain(rank)) <= limit

        rank = largest_rank(pair.spectrum.s.size, RANK_STEP, fits)
        if rank is None:
            context.note(pair.node.name, f"no rank takes {self.keep:.0%} of its time", done=False)
        return rank

    def _smaller(self, pair: "_Pair", rank: int, context: Context) -> bool:
        smaller = rank * sum(pair.matrix.shape) < pair.matrix.size
        if not smaller and not self.slower:
            context.note(pair.node.name, f"rank {rank} would not be smaller", done=False)
        return smaller or self.slower


class _Pair:
    """A layer and the two that may replace it."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node
        weight = graph.constants[node.operands[1]].array
        self.shape, self.dtype = weight.shape, weight.dtype
        self.matrix = weight.reshape(weight.shape[0], -1)
        self.spectrum: Spectrum = spectrum(self.matrix)

    def weights(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """The inner weight [r, ...] and the outer one [M, r, ...]."""
        u, v = self.spectrum.factors(rank)
        inner = v.reshape(rank, *self.shape[1:]).astype(self.dtype)
        outer = u.reshape(self.shape[0], rank, *(1,) * (len(self.shape) - 2)).astype(self.dtype)
        return inner, outer

    def chain(self, rank: int) -> Chain:
        """Both layers, in place of the node's."""
        node, (inner, outer) = self.node, self.weights(rank)
        first, second = node.op, Linear()
        if isinstance(node.op, Conv):
            axes = len(node.op.strides)
            second = Conv((1,) * axes, ((0, 0),) * axes, (1,) * axes)  # type: ignore[assignment]
        weight, bias = node.operands[1], self.graph.constants.get((*node.operands, "")[2])

        def made(maker: Maker, x: str) -> str:
            v = maker.constant(inner, f"{weight}.v")
            middle = maker.add(first, x, v, name=f"{node.name}.inner")
            rest = [] if bias is None else [maker.constant(bias.array, node.operands[2])]
            u = maker.constant(outer, f"{weight}.u")
            return maker.add(second, middle, u, *rest, name=node.name)

        return made
