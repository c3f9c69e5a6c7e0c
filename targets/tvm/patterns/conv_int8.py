"""8-bit convolutions: codes in, 32-bit accumulators, codes or floats out."""

from dataclasses import replace
from types import ModuleType
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts, Widths
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import refuse_chain
from codesign.targets.tvm.contraction import finish, refuse_integer, weight_codes
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel, default_point, from_point, padded, to_point
from codesign.targets.tvm.kernels import conv_int8, depthwise_int8, stem_int8
from codesign.targets.tvm.kernels.int8_layout import channels
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.patterns.bits import wanted
from codesign.targets.tvm.patterns.conv import conv_shape
from codesign.targets.tvm.patterns.pack import UNPACKED


class Int8Kernel(CpuKernel):
    """A convolution on channels-last codes whose code is in `module`."""

    anchors: ClassVar[frozenset[str]] = frozenset({"conv"})
    widths: ClassVar[tuple[Widths, ...]] = ((8, 8),)
    module: ClassVar[ModuleType]

    def accepts(self, shape: ConvShape) -> bool:
        """Whether `module` computes `shape`."""
        raise AttributeError(shape)

    def refuse(self, group: Group) -> Refusal | None:
        refusal = refuse_integer(group)
        if refusal is not None:
            return refusal
        shape = conv_shape(group, 16)
        if len(shape.spatial) > 2 or not self.accepts(shape):
            return Refusal(f"{self.name} takes {self.__doc__}", f"this is {shape}")
        return refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        demand: dict[str, Tiled | None] = {}
        for value in (*group.variables, *group.outputs):
            kind = group.type(value)
            same = kind.rank == group.output_type.rank
            demand[value] = Tiled(1, channels(kind.shape[1])) if same else None
        return demand

    def cost(self, group: Group, point: Point) -> LayerCost:
        """With the time that it takes to unpack an input that comes in bits."""
        found, x = super().cost(group, point), group.input(0)
        if x is None or not wanted(group, x):
            return found
        nanoseconds = group.type(x).size / (UNPACKED * self.machine.threads)
        return replace(found, latency_ms=found.latency_ms + nanoseconds * 1e-6)

    def default(self, group: Group) -> Point:
        return default_point(self.module, conv_shape(group, 16), self.isa)

    def space(self, group: Group) -> list[Point]:
        return [to_point(p) for p in self.module.space(conv_shape(group, 16), self.isa)]

    def emit(self, group: Group, point: Point) -> Emitted:
        shape, schedule = conv_shape(group, 16), from_point(self.module.Point, point)
        x, source = group.input(0), group.input_type(0)
        assert x is not None and source is not None and source.integer is not None
        zero = int(source.integer.zero.array)
        content = self.module.pack_weight(weight_codes(group), shape, self.isa, schedule)
        epilogue, arguments = finish(group, self.isa, channels(shape.oc))
        return Emitted(
            lambda name: self.module.emit(name, shape, self.isa, schedule, epilogue, zero),
            (x, content, *arguments, *group.outputs),
        )


class StemInt8(Int8Kernel):
    """a convolution of at most four channels, dilated along no last axis, read in plain layout"""

    name: ClassVar[str] = "stem-int8"
    module: ClassVar[ModuleType] = stem_int8
    efficiency: ClassVar[float] = 0.3
    rate: ClassVar[float] = 7.0

    def accepts(self, shape: ConvShape) -> bool:
        few = shape.groups == 1 and shape.ic <= stem_int8.MOST_CHANNELS
        return few and shape.dilations[-1] == 1

    def layouts(self, group: Group) -> Layouts | None:
        x = group.input(0)
        assert x is not None
        return {**(super().layouts(group) or {}), x: None}


class ConvInt8(Int8Kernel):
    """a convolution without groups over one or two axes"""

    name: ClassVar[str] = "conv-int8"
    module: ClassVar[ModuleType] = conv_int8
    efficiency: ClassVar[float] = 1.0
    rate: ClassVar[float] = 9.5

    def accepts(self, shape: ConvShape) -> bool:
        return shape.groups == 1

    def padding(self, group: Group) -> float:
        shape = conv_shape(group, 16)
        return padded(shape.ic, 16) * padded(shape.oc, 16)


class DepthwiseInt8(Int8Kernel):
    """a convolution with one input and one output channel a group"""

    name: ClassVar[str] = "depthwise-int8"
    module: ClassVar[ModuleType] = depthwise_int8
    efficiency: ClassVar[float] = 0.64  # of float peak: no tiles, no dot products
    rate: ClassVar[float] = 12.6

    def accepts(self, shape: ConvShape) -> bool:
        return shape.groups == shape.ic == shape.oc

    def padding(self, group: Group) -> float:
        return self.machine.peak_gmacs(self.isa, 8) / self.machine.peak_gmacs(self.isa, 32)
