"""Separable convolutions and inverted residual blocks as one kernel, float32."""

from itertools import pairwise
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.fused import fused_cost
from codesign.targets.tvm.kernel import CpuKernel, from_point, to_point
from codesign.targets.tvm.kernels import conv_separable, separable
from codesign.targets.tvm.kernels.separable import Block
from codesign.targets.tvm.kernels.shapes import default_block
from codesign.targets.tvm.patterns.conv import (
    ConvDepthwise,
    ConvPointwise,
    biased,
    conv_shape,
    refuse_float,
)


def layers(group: Group) -> list[Group]:
    """`group` cut before each of its convolutions."""
    starts = [i for i, node in enumerate(group.nodes) if node.kind == "conv"]
    ends = [*starts[1:], len(group.nodes)]
    return [Group(group.graph, group.nodes[a:b]) for a, b in zip(starts, ends, strict=True)]


def follow(group: Group, convolutions: int) -> Group:
    """`group` with what alone reads its result, up to the last of so many convolutions."""
    while sum(node.kind == "conv" for node in group.nodes) < convolutions:
        node = group.graph.only_use(group.nodes[-1].name)
        if node is None or not (node.op.elementwise or node.kind == "conv"):
            break
        group = group.extended(node)
    return group


def block_of(group: Group, lanes: int) -> Block:
    """The problem that the two or three convolutions of `group` pose."""
    shapes = [conv_shape(layer, lanes) for layer in layers(group)]
    return Block(shapes[0] if len(shapes) == 3 else None, *shapes[-2:])


DEMANDS = {
    2: "this takes a depthwise convolution and the 1x1 one that alone reads it",
    3: "this takes a 1x1 convolution, the depthwise one that alone reads it, and its 1x1 one",
}


def refuse_block(group: Group, convolutions: int) -> Refusal | None:
    """None if `group` is so many convolutions of a block that nothing else reads parts of."""
    graph, found = group.graph, layers(group)
    if len(found) != convolutions:
        wide = layers(follow(group, convolutions))
        held = "this is a part" if len(wide) == convolutions else "something else follows"
        return Refusal(DEMANDS[convolutions], f"{held} behind %{group.nodes[-1].name}")
    for node, follower in pairwise(group.nodes):
        data = follower.kind != "conv" or follower.inputs[0] == node.name
        if graph.only_use(node.name) is not follower or not data:
            return Refusal(DEMANDS[convolutions], f"%{node.name} is read otherwise")
    if any(len(layer.anchor_type.shape) != 4 for layer in found):
        return Refusal(DEMANDS[convolutions], "they are not over two axes")
    block = block_of(group, 16)
    if not separable.accepts(block):
        return Refusal(
            f"{DEMANDS[convolutions]}, undilated, 1x1 ones of stride 1", f"it is {block}"
        )
    return None


class ConvSeparable(CpuKernel):
    """A depthwise convolution and the 1x1 one behind it."""

    name: ClassVar[str] = "conv-separable"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv"})
    convolutions: ClassVar[int] = 2
    rate: ClassVar[float] = 70.0

    def reach(self, group: Group) -> Group:
        return follow(group, self.convolutions)

    def refuse(self, group: Group) -> Refusal | None:
        for layer in layers(group):
            refusal = refuse_float(layer)
            if refusal is not None:
                return refusal
        return refuse_block(group, self.convolutions)

    def block(self, group: Group) -> Block:
        """The problem in this target's block size."""
        return block_of(group, default_block(self.isa))

    def layouts(self, group: Group) -> Layouts | None:
        """Those of the layers; a value that several read as the first one wants it, its data."""
        point = ConvPointwise(self.isa, self.machine)
        found = [point.layouts(layer) or {} for layer in layers(group)]
        return {value: layout for demand in reversed(found) for value, layout in demand.items()}

    def default(self, group: Group) -> Point:
        return to_point(conv_separable.default(self.block(group), self.isa, self.machine.threads))

    def space(self, group: Group) -> list[Point]:
        points = conv_separable.space(self.block(group), self.isa, self.machine.threads)
        return [to_point(point) for point in points]

    def cost(self, group: Group, point: Point) -> LayerCost:
        """See `fused_cost`."""
        wide, depth = (k(self.isa, self.machine) for k in (ConvPointwise, ConvDepthwise))
        kernels = (wide, depth, wide)[-self.convolutions :]
        parts = list(zip(kernels, layers(group), strict=True))
        cut = conv_separable.cut(self.block(group), from_point(conv_separable.Point, point))
        return fused_cost(self, group, parts, cut.again if self.convolutions == 3 else 1.0)

    def emit(self, group: Group, point: Point) -> Emitted:
        block, schedule = self.block(group), from_point(conv_separable.Point, point)
        epilogues, operands, weights = [], [], []
        for layer in layers(group):
            chain, weight = Chain(layer), layer.constant(1)
            assert weight is not None
            epilogues.append(chain.epilogue(biased(chain, layer.input(2))))
            operands.append(chain.arguments)
            weights.append(weight.array)
        packed = conv_separable.pack_weights(weights, block, self.isa, schedule)
        x = group.input(0)
        assert x is not None
        arguments: list[Argument] = [x]
        for content, others in zip(packed, operands, strict=True):
            arguments += [content, *others]
        return Emitted(
            lambda name: conv_separable.emit(name, block, self.isa, schedule, epilogues),
            (*arguments, *group.outputs),
        )


class ConvInverted(ConvSeparable):
    """An inverted residual block: 1x1, depthwise, 1x1."""

    name: ClassVar[str] = "conv-inverted"
    convolutions: ClassVar[int] = 3
