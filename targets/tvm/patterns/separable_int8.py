"""Separable convolutions and inverted residual blocks as one kernel on 8-bit codes."""

from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import refuse_chain
from codesign.targets.tvm.contraction import finish, refuse_integer, weight_codes
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.fused import fused_cost
from codesign.targets.tvm.kernel import CpuKernel, from_point, to_point
from codesign.targets.tvm.kernels import int8_amx, separable_int8
from codesign.targets.tvm.kernels.int8_layout import channels
from codesign.targets.tvm.kernels.int8_tile import Reduction
from codesign.targets.tvm.patterns.conv_int8 import ConvInt8, DepthwiseInt8
from codesign.targets.tvm.patterns.conv_separable import block_of, follow, layers, refuse_block


class SeparableInt8(CpuKernel):
    """A depthwise convolution and the 1x1 one behind it, on codes."""

    name: ClassVar[str] = "separable-int8"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv"})
    convolutions: ClassVar[int] = 2
    rate: ClassVar[float] = 9.5

    def reach(self, group: Group) -> Group:
        return follow(group, self.convolutions)

    def refuse(self, group: Group) -> Refusal | None:
        found = layers(group)
        refusals = (refuse_integer(layer) or refuse_chain(layer) for layer in found)
        refusal = next((r for r in refusals if r is not None), None)
        return refusal or refuse_block(group, self.convolutions) or _refuse_operands(found)

    def layouts(self, group: Group) -> Layouts | None:
        made = [value for node in group.nodes for value in node.outputs]
        demand: dict[str, Tiled | None] = {}
        for value in (*group.variables, *made):
            kind = group.type(value)
            same = kind.rank == group.output_type.rank
            demand[value] = Tiled(1, channels(kind.shape[1])) if same else None
        return demand

    def default(self, group: Group) -> Point:
        block = block_of(group, 16)
        return to_point(separable_int8.default(block, self.isa, self.machine.threads))

    def space(self, group: Group) -> list[Point]:
        points = separable_int8.space(block_of(group, 16), self.isa, self.machine.threads)
        return [to_point(point) for point in points]

    def cost(self, group: Group, point: Point) -> LayerCost:
        """See `fused_cost`."""
        wide, depth = ConvInt8(self.isa, self.machine), DepthwiseInt8(self.isa, self.machine)
        kernels: tuple[CpuKernel, ...] = (wide, depth, wide)[-self.convolutions :]
        parts = list(zip(kernels, layers(group), strict=True))
        schedule = from_point(separable_int8.Point, point)
        plan = separable_int8.plan(block_of(group, 16), self.isa, schedule)
        if plan.expand is None:
            return fused_cost(self, group, parts, 1.0)
        return fused_cost(self, group, parts, plan.cut.again, self._loss(plan.expand))

    def _loss(self, expand: Reduction) -> float:
        """Windows are copied no more, but tile registers take the pixels of one row only."""
        if self.isa.dot != "amx":
            return 1.0
        return 0.88 + 0.45 * (1 - int8_amx.pixels(expand) / int8_amx.TILE)

    def emit(self, group: Group, point: Point) -> Emitted:
        block, schedule = block_of(group, 16), from_point(separable_int8.Point, point)
        found = layers(group)
        ends = [finish(layer, self.isa, channels(layer.anchor_type.shape[1])) for layer in found]
        codes = [weight_codes(layer) for layer in found]
        packed = separable_int8.pack_weights(codes, block, self.isa, schedule)
        x, deep = group.input(0), found[-2].input_type(0)
        assert x is not None and deep is not None and deep.integer is not None
        zero = int(deep.integer.zero.array)
        arguments: list[Argument] = [x]
        for content, (_, others) in zip(packed, ends, strict=True):
            arguments += [content, *others]
        epilogues = [epilogue for epilogue, _ in ends]
        return Emitted(
            lambda name: separable_int8.emit(name, block, self.isa, schedule, epilogues, zero),
            (*arguments, *group.outputs),
        )


def _refuse_operands(found: list[Group]) -> Refusal | None:
    """None if only the last layer reads other values, in whose place a tile could be."""
    for layer in found[:-1]:
        others = [v for v in layer.variables if v != layer.input(0)]
        if others:
            return Refusal("only the last layer has other operands", f"%{others[0]} is read before")
    return None


class InvertedInt8(SeparableInt8):
    """An inverted residual block on codes: 1x1, depthwise, 1x1."""

    name: ClassVar[str] = "inverted-int8"
    convolutions: ClassVar[int] = 3
