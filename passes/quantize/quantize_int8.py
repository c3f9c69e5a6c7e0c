"""Calibrated 8-bit quantization of weights and activations."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from codesign.analysis.codes import few_levels
from codesign.analysis.ranges import Method
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.quantize import tables
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.pays import paying
from codesign.passes.quantize.regions import ANCHORS, Regions, refusal
from codesign.passes.quantize.retype import rewrite
from codesign.passes.quantize.spans import check_options, spans
from codesign.passes.simplify import codes
from codesign.rewrite.context import Context
from codesign.rewrite.layers import skipped
from codesign.rewrite.pass_ import Need, Pass


@dataclass(frozen=True)
class QuantizeInt8(Pass):
    """Store weights in signed 8-bit codes (per output channel) and activations in unsigned ones.

    Layers compute int8 x uint8 -> int32 and requantize by fixed-point multipliers (Jacob et al.,
    2018). Ranges come from calibration data by `method`; biases make up for what rounding weights
    does to a layer's mean result (Nagel et al., Data-Free Quantization, ICCV 2019). Values joined
    by a concat, a pool or a reshape share a scale; a layer whose result goes into a residual add
    keeps it in 32 bits, and the add rounds once. Where the target takes floats, convolutions over
    three axes and grouped ones but for depthwise stay in float; so do layers that `skip` names
    (patterns), and, unless `slower` allows it, what would not get faster, borders included. Layers
    of few bits keep these; what they make for an add, or others in 8 bits, becomes codes as well.

    Tables that are looked up (4096 float elements or more) are stored in signed codes with a scale
    for each column, and what reads a row decodes it. That saves memory rather than time, so they
    stay as long as the target predicts the program to take at most 1 % longer with them, whether
    or not layers are in codes; their ranges are their own, and `skip` names their lookups.

    Before:
        %y: tensor<1x4x6x6xf32> = conv(%x, %w, %b)
        %z: tensor<1x4x6x6xf32> = relu(%y)
        %u: tensor<1x2x6x6xf32> = conv(%z, %k)
    After:
        %x.codes: tensor<1x3x8x8xf32, int<...>> = encode(%x)
        %y: tensor<1x4x6x6xf32, int<...>> = conv(%x.codes, %w.int8, %b.int32)
        %z: tensor<1x4x6x6xf32, int<...>> = relu(%y)
        %u: tensor<1x2x6x6xf32> = conv(%z, %k.int8)
    """

    name: ClassVar[str] = "quantize-int8"
    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    encodes: ClassVar[bool] = True

    method: Method = "mse"
    percentile: float = 99.99
    per_channel: bool = True
    samples: int = 256
    slower: bool = False
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_options(self.name, self.percentile, self.samples)

    def run(self, program: Program, context: Context) -> Program:
        graph = codes.unify(program.graph, codes.reach_of(context.target))
        left = skipped(graph, self.skip, self.name, tables.lookups(graph))
        graph = self._layers(graph, left, context)
        target = None if self.slower else context.target
        return program.with_graph(tables.in_codes(graph, left, context, target))

    def _layers(self, graph: Graph, left: Collection[str], context: Context) -> Graph:
        """`graph` with convolutions and linear layers on codes, but those in `left`."""
        from codesign.passes.quantize.moments import moments

        anchors, reach = list[str](), codes.reach_of(context.target)
        few = frozenset(node.name for node in graph.nodes if few_levels(node, graph.types))
        for node in graph.nodes:
            if node.kind not in ANCHORS:
                continue
            if node.name in left or node.name in few:
                continue
            if why := refusal(graph, node, reach.any_window):
                context.note(node.name, why, done=False)
            else:
                anchors.append(node.name)
        if not anchors:
            return graph
        regions = Regions(graph, frozenset(anchors), few)
        data = context.need_calibration(self.name)
        how = self.method, self.percentile
        ranges = spans(graph, regions, data, self.samples, how, context, self.name)
        encodings = ranges.forms(regions, dict.fromkeys(ranges.histograms, 8))
        wide = ACCUMULATOR_BITS if context.target is None else context.target.accumulator
        biased = [name for name in anchors if len(graph.by_name[name].operands) > 2]
        rounded = Forms(graph, self.per_channel, wide)
        rounded.moments = moments(graph, biased, (), data, context, self.name)
        weights = rounded.all_of(8)

        def write(chosen: Regions) -> Graph:
            forms = {value: encodings[value] for value in chosen.codes}
            return codes.unify(rewrite(graph, chosen, forms, rounded, weights), reach)

        if self.slower or context.target is None or not context.target.floats:
            return write(regions)
        return paying(regions, write, context, context.target)
