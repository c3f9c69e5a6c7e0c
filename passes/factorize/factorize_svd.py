"""Two thin layers for one thick one."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Program
from codesign.passes.factorize.low_rank import Spectrum, largest_rank, spectrum
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import plain_layers
from codesign.rewrite.pass_ import Pass
from codesign.rewrite.price import latency_ms, node_latency_ms

RANK_STEP = 8


@dataclass(frozen=True)
class FactorizeSvd(Pass):
    """Replace linear layers and convolutions by two of a lower rank.

    A linear layer [N, K] becomes K -> r -> N; a convolution [M, C, kh, kw] a kh x kw one to r
    channels and a 1x1 one to M (Zhang et al., "Accelerating very deep convolutional networks",
    2016). `by` says how r is found: `energy` (the least that keeps this share of the squared
    weights), `error` (relative Frobenius error of the weight at most this), or `cost` (the largest
    at which the target's latency is at most `keep` of the layer's). A layer that would not get
    faster on the target stays, unless `slower` allows it.

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
        for node in plain_layers(graph, self.skip, context):
            if isinstance(node.op, Conv) and node.op.groups > 1:
                context.note(node.name, "grouped convolutions have small weights", done=False)
                continue
            pieces = _Pieces(graph, node)
            rank = self._rank(pieces, context)
            if rank is not None and self._pays(pieces, rank, context):
                edit.replace(node.name, pieces.into(edit, rank))
        return program.with_graph(edit.graph())

    def _rank(self, pieces: "_Pieces", context: Context) -> int | None:
        found = pieces.spectrum
        if self.by == "energy":
            return found.rank_for(self.keep)
        if self.by == "error":
            return found.rank_for(1 - self.error**2)
        target = context.need_target(self.name)
        whole = node_latency_ms(target, pieces.graph, pieces.node)

        def fits(rank: int) -> bool:
            return pieces.latency_ms(context, rank) <= whole * self.keep

        rank = largest_rank(found.s.size, RANK_STEP, fits)
        if rank is None:
            context.note(pieces.node.name, f"no rank takes {self.keep:.0%} of its time", done=False)
        return rank

    def _pays(self, pieces: "_Pieces", rank: int, context: Context) -> bool:
        name, kept = pieces.node.name, pieces.spectrum.energy(rank)
        if context.target is None:
            smaller = rank * sum(pieces.matrix.shape) < pieces.matrix.size
            text = f"rank {rank} keeps {kept:.1%} of its energy"
            context.note(name, text if smaller else f"{text} and is not smaller", done=smaller)
            return smaller or self.slower
        whole = node_latency_ms(context.target, pieces.graph, pieces.node)
        parts = pieces.latency_ms(context, rank)
        text = f"rank {rank} keeps {kept:.1%} of its energy; {whole:.4f} ms would be {parts:.4f} ms"
        pays = parts < whole or self.slower
        context.note(name, text if pays else f"{text}: not done", done=pays)
        return pays


class _Pieces:
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

    def ops(self) -> tuple[Linear | Conv, Linear | Conv]:
        """The inner and the outer op."""
        op = self.node.op
        if isinstance(op, Conv):
            ones, rank = (1,) * len(op.strides), len(op.strides)
            return op, Conv(ones, ((0, 0),) * rank, ones)
        return Linear(), Linear()

    def latency_ms(self, context: Context, rank: int) -> float:
        """What both layers take on the target."""
        inner, outer = self.weights(rank)
        first, second = self.ops()

        def body(builder: Builder, x: str) -> str:
            middle = builder.op(first, x, builder.constant(inner))
            return builder.op(second, middle, builder.constant(outer))

        x = self.graph.types[self.node.operands[0]]
        return latency_ms(context.need_target("factorize"), x, body)

    def into(self, edit: Edit, rank: int) -> str:
        """Add both layers to `edit`; the value that replaces the layer's."""
        inner, outer = self.weights(rank)
        first, second = self.ops()
        weight, bias = self.node.operands[1], self.node.operands[2:]
        middle = edit.add(
            first,
            self.node.inputs[0],
            edit.constant(inner, f"{weight}.v"),
            name=f"{self.node.name}.inner",
        )
        return edit.add(
            second, middle, edit.constant(outer, f"{weight}.u"), *bias, name=self.node.name
        )
