"""Float convolutions: direct, pointwise, stem, depthwise, and the generic one."""

from math import prod
from types import ModuleType
from typing import ClassVar

from codesign.ir.encodings.tiled import Tiled
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, Value, refuse_chain
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel, default_point, from_point, padded, to_point
from codesign.targets.tvm.kernels import (
    conv_depthwise,
    conv_direct,
    conv_generic,
    conv_pointwise,
    conv_stem,
    conv_upsample,
)
from codesign.targets.tvm.kernels.shapes import ConvShape, default_block


def conv_shape(group: Group, block: int) -> ConvShape:
    """The problem that the anchor of `group` poses."""
    op = group.anchor.op
    assert isinstance(op, Conv | ConvTranspose)
    x, y = group.input_type(0), group.anchor_type
    w = group.input_type(1)
    assert x is not None and w is not None
    return ConvShape(
        x.shape[0],
        x.shape[1],
        y.shape[1],
        x.shape[2:],
        w.shape[2:],
        op.strides,
        op.pads,
        op.dilations,
        op.groups,
        block,
        isinstance(op, ConvTranspose),
        op.output_pads if isinstance(op, ConvTranspose) else (),
    )


def refuse_float(group: Group) -> Refusal | None:
    """None if every value of the group is plain float32 and its weight a constant."""
    for value in (*group.operands, *group.outputs):
        kind = group.type(value)
        if not kind.size:
            return Refusal("convolutions have elements", f"%{value} is {kind}")
        if kind.dtype != "f32" or (kind.element is not None and value not in group.graph.constants):
            return Refusal("this kernel computes in float32", f"%{value} is {kind}")
    if group.constant(1) is None:
        return Refusal("weights are packed while compiling", "the weight is no constant")
    return refuse_chain(group)


def biased(chain: Chain, bias: str | None) -> Value:
    """The accumulator plus the anchor's bias, a value of the graph, along axis 1."""
    if bias is None:
        return lambda env: env.acc
    add = chain.along(bias, 1)
    return lambda env: env.acc + add(env)


class ConvKernel(CpuKernel):
    """A float convolution whose code is in `module`, over the blocked layout."""

    anchors: ClassVar[frozenset[str]] = frozenset({"conv"})
    module: ClassVar[ModuleType]
    plain_input: ClassVar[bool] = False

    def shape(self, group: Group) -> ConvShape:
        """The problem in this target's block size."""
        return conv_shape(group, default_block(self.isa))

    def refuse(self, group: Group) -> Refusal | None:
        refusal = refuse_float(group)
        if refusal is None and not self.module.accepts(self.shape(group)):
            return Refusal(f"{self.name} {self.demand()}", f"this is {self.shape(group)}")
        return refusal

    def demand(self) -> str:
        """What `accepts` of the module asks for, in words."""
        words = " ".join((self.module.accepts.__doc__ or "").split()).rstrip(".")
        return words.replace("Whether the shape is", "takes").replace(
            "Whether the shape", "takes what"
        )

    def layouts(self, group: Group) -> Layouts | None:
        tiled = Tiled(1, default_block(self.isa))
        demand: dict[str, Tiled | None] = dict.fromkeys(group.outputs, tiled)
        for value in group.variables:
            kind = group.type(value)
            varies = kind.rank == group.output_type.rank and kind.shape[1] != 1
            demand[value] = tiled if varies else None
        x = group.input(0)
        if x is not None and x in demand:
            demand[x] = None if self.plain_input else tiled
        return demand

    def default(self, group: Group) -> Point:
        return default_point(self.module, self.shape(group), self.isa)

    def space(self, group: Group) -> list[Point]:
        return [to_point(point) for point in self.module.space(self.shape(group), self.isa)]

    def emit(self, group: Group, point: Point) -> Emitted:
        shape, schedule = self.shape(group), from_point(self.module.Point, point)
        x, weight = group.input(0), group.constant(1)
        assert x is not None and weight is not None
        chain = Chain(group)
        epilogue = chain.epilogue(biased(chain, group.input(2)))
        content = self.module.pack_weight(weight.array, shape, self.isa, schedule)
        return Emitted(
            lambda name: self.module.emit(name, shape, self.isa, schedule, epilogue),
            (x, content, *chain.arguments, *group.outputs),
        )


class ConvPointwise(ConvKernel):
    """1x1 convolution as a matrix product."""

    name: ClassVar[str] = "conv-pointwise"
    module: ClassVar[ModuleType] = conv_pointwise
    efficiency: ClassVar[float] = 0.68
    rate: ClassVar[float] = 70.0


class ConvDirect(ConvKernel):
    """k x k blocked direct convolution."""

    name: ClassVar[str] = "conv-direct"
    module: ClassVar[ModuleType] = conv_direct
    efficiency: ClassVar[float] = 0.75
    rate: ClassVar[float] = 50.0

    def padding(self, group: Group) -> float:
        shape = self.shape(group)
        single = prod(shape.kernel) == 1  # no window hides the loads: `conv-pointwise` is for that
        return padded(shape.ic, shape.block) * padded(shape.oc, shape.block) * (1 + 0.4 * single)


class ConvDepthwise(ConvKernel):
    """One input and one output channel a group."""

    name: ClassVar[str] = "conv-depthwise"
    module: ClassVar[ModuleType] = conv_depthwise
    efficiency: ClassVar[float] = 1.0
    rate: ClassVar[float] = 27.0


class ConvStem(ConvKernel):
    """Few input channels, read in the plain layout."""

    name: ClassVar[str] = "conv-stem"
    module: ClassVar[ModuleType] = conv_stem
    plain_input: ClassVar[bool] = True
    efficiency: ClassVar[float] = 0.8
    rate: ClassVar[float] = 16.0

    def padding(self, group: Group) -> float:
        """Weights of many channels outgrow the registers' reach."""
        return 1.0 if self.shape(group).ic <= 4 else 2.5


class ConvUpsample(ConvKernel):
    """A transposed convolution whose squares do not overlap, as a pointwise one."""

    name: ClassVar[str] = "conv-upsample"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv_transpose"})
    module: ClassVar[ModuleType] = conv_upsample
    efficiency: ClassVar[float] = 0.68
    rate: ClassVar[float] = 70.0

    def padding(self, group: Group) -> float:
        shape = self.shape(group)
        return padded(shape.ic, shape.block) * padded(shape.oc, shape.block)


class ConvGeneric(ConvKernel):
    """Any convolution, also transposed, over one, two or three axes of the plain layout."""

    name: ClassVar[str] = "conv-generic"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "conv_transpose"})
    module: ClassVar[ModuleType] = conv_generic
    efficiency: ClassVar[float] = 0.15

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)
