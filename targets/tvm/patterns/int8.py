"""8-bit linear layers, pools, averages and additions."""

from math import prod
from typing import ClassVar

import numpy as np

from codesign.analysis.codes import averaged, scale_ratio
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.fixedpoint import fixed_point
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts, Widths
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import refuse_chain
from codesign.targets.tvm.contraction import clamp_bounds, finish, refuse_integer, weight_codes
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.kernel import CpuKernel, default_point, from_point, padded, to_point
from codesign.targets.tvm.kernels import add_int8, matmul_int8, pool_int8
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.int8_layout import channels
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.requantize import Residual, Scaling, requantize
from codesign.targets.tvm.storage import physical_shape


def channels_last(kind: TensorType) -> Tiled | None:
    """The layout of codes for the kernels here; None where the plain one is the same."""
    if kind.rank < 3:
        same = kind.shape[-1] % 16 == 0
        return None if same else Tiled(kind.rank - 1, channels(kind.shape[-1]))
    return Tiled(1, channels(kind.shape[1]))


def unsigned(kind: TensorType | None) -> Int | None:
    """The encoding of unsigned codes of at most 8 bits and one scale, else None."""
    e = None if kind is None else kind.integer
    return None if e is None or e.signed or e.width > 8 or e.axis is not None else e


class LinearInt8(CpuKernel):
    """A fully connected layer on codes."""

    name: ClassVar[str] = "linear-int8"
    anchors: ClassVar[frozenset[str]] = frozenset({"linear"})
    widths: ClassVar[tuple[Widths, ...]] = ((8, 8),)
    efficiency: ClassVar[float] = 0.8
    rate: ClassVar[float] = 10.5

    def refuse(self, group: Group) -> Refusal | None:
        return refuse_integer(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        demand: dict[str, Tiled | None] = {}
        for value in (*group.variables, *group.outputs):
            kind = group.type(value)
            same = kind.shape[-1] % 16 == 0
            demand[value] = None if same else Tiled(kind.rank - 1, channels(kind.shape[-1]))
        return demand

    def shape(self, group: Group) -> matmul_int8.MatmulShape:
        """The matrix product of the anchor."""
        x, w = group.input_type(0), group.input_type(1)
        assert x is not None and w is not None
        return matmul_int8.MatmulShape(prod(x.shape[:-1]), w.shape[0], w.shape[1])

    def padding(self, group: Group) -> float:
        return padded(self.shape(group).n, 16) * padded(self.shape(group).k, 16)

    def default(self, group: Group) -> Point:
        return default_point(matmul_int8, self.shape(group), self.isa)

    def space(self, group: Group) -> list[Point]:
        return [to_point(p) for p in matmul_int8.space(self.shape(group), self.isa)]

    def emit(self, group: Group, point: Point) -> Emitted:
        shape, schedule = self.shape(group), from_point(matmul_int8.Point, point)
        x = group.input(0)
        assert x is not None
        content = matmul_int8.pack_weight(weight_codes(group), shape, self.isa, schedule)
        epilogue, arguments = finish(group, self.isa, channels(shape.n))
        epilogue = _by_rows(epilogue, group.output_type)
        return Emitted(
            lambda name: matmul_int8.emit(name, shape, self.isa, schedule, epilogue),
            (x, content, *arguments, *group.outputs),
        )


def _by_rows(epilogue: Epilogue, out: TensorType) -> Epilogue:
    """`epilogue` for a kernel that indexes its result as rows and columns."""
    middle = (0,) if out.layout is not None else ()
    return Epilogue(
        epilogue.operands,
        epilogue.out_dtype,
        lambda acc, index, buffers: epilogue.apply(
            acc, (*unravel(index[0], out.shape[:-1]), *middle, index[1]), buffers
        ),
        epilogue.vector,
    )


class MaxPoolInt8(CpuKernel):
    """Maximum of codes over windows."""

    name: ClassVar[str] = "max-pool-int8"
    anchors: ClassVar[frozenset[str]] = frozenset({"max_pool"})
    rate: ClassVar[float] = 9.5

    def refuse(self, group: Group) -> Refusal | None:
        x, y = group.input_type(0), group.output_type
        if unsigned(x) is None or x is None or x.integer != y.integer:
            return Refusal("this pool keeps unsigned 8-bit codes", f"{x} becomes {y}")
        if len(group.nodes) > 1 or len(group.outputs) > 1 or x.rank > 4:
            return Refusal("it makes one result over one or two axes", f"%{group.name} does more")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: channels_last(group.type(v)) for v in (*group.variables, *group.outputs)}

    def emit(self, group: Group, point: Point) -> Emitted:
        shape = window_shape(group)
        schedule = pool_int8.default(shape, self.isa)
        return Emitted(
            lambda name: pool_int8.emit_max(name, shape, self.isa, schedule),
            (*group.variables, *group.outputs),
        )


def window_shape(group: Group) -> ConvShape:
    """A pool, or a mean over all spatial axes, as a depthwise problem."""
    x, op = group.input_type(0), group.anchor.op
    assert x is not None
    c, spatial = x.shape[1], x.shape[2:]
    rank = len(spatial)
    if group.anchor.kind == "reduce_mean":
        ones, pads = (1,) * rank, ((0, 0),) * rank
        return ConvShape(x.shape[0], c, c, spatial, spatial, ones, pads, ones, c)
    window = (op.kernel, op.strides, op.pads, op.dilations)  # type: ignore[attr-defined]
    return ConvShape(x.shape[0], c, c, spatial, *window, c)


class MeanInt8(CpuKernel):
    """Averages of codes over windows without padding, or over all spatial axes."""

    name: ClassVar[str] = "mean-int8"
    anchors: ClassVar[frozenset[str]] = frozenset({"avg_pool", "reduce_mean"})
    rate: ClassVar[float] = 6.0

    def refuse(self, group: Group) -> Refusal | None:
        x, y = group.input_type(0), group.output_type
        if x is None or unsigned(x) is None or unsigned(y) is None or len(group.nodes) > 1:
            return Refusal("this average takes and gives 8-bit codes", f"{x} becomes {y}")
        op, rank = group.anchor.op, x.rank
        if group.anchor.kind == "reduce_mean":
            spatial = tuple(op.axes) == tuple(range(2, rank))  # type: ignore[attr-defined]
            return None if spatial and rank in (3, 4) else Refusal("it spans 1 or 2 axes", f"{op}")
        pads = any(any(pad) for pad in op.pads)  # type: ignore[attr-defined]
        return Refusal("its windows have no padding", f"{op}") if pads or rank > 4 else None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: channels_last(group.type(v)) for v in (*group.variables, *group.outputs)}

    def emit(self, group: Group, point: Point) -> Emitted:
        x, shape = group.input_type(0), window_shape(group)
        source, out = unsigned(x), unsigned(group.output_type)
        assert x is not None and source is not None and out is not None
        fixed = fixed_point([scale_ratio(source, out) / averaged(group.anchor, x)])
        zero = int(source.zero.array)
        scaling = Scaling(
            np.zeros((), np.int64), fixed.multipliers[0], fixed.shift, int(out.zero.array)
        )
        scaled = requantize(scaling, channels(shape.ic), self.isa)
        schedule = pool_int8.default(shape, self.isa)
        return Emitted(
            lambda name: pool_int8.emit(name, shape, self.isa, schedule, scaled.epilogue, zero),
            (*group.variables, *scaled.constants.values(), *group.outputs),
        )


class AddInt8(CpuKernel):
    """The sum of two tensors of codes, rescaled and rounded once, clamps fused."""

    name: ClassVar[str] = "add-int8"
    anchors: ClassVar[frozenset[str]] = frozenset({"add"})

    def refuse(self, group: Group) -> Refusal | None:
        kinds = [group.type(v) for v in group.anchor.operands] + [group.output_type]
        constant = len(group.variables) != len(set(group.anchor.operands))
        if constant or len(group.anchor.operands) < 2 or any(unsigned(k) is None for k in kinds):
            return Refusal("it adds unsigned 8-bit codes", ", ".join(map(str, kinds)))
        if len({k.shape for k in kinds}) > 1 or kinds[0].rank < 3:
            return Refusal(
                "its operands have one shape of rank 3 or more", f"{kinds[0]}, {kinds[1]}"
            )
        if clamp_bounds(group) is None:
            return Refusal("only clamps of its result are fused", "the chain does more")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: channels_last(group.type(v)) for v in (*group.variables, *group.outputs)}

    def emit(self, group: Group, point: Point) -> Emitted:
        a, b = (group.type(v) for v in group.anchor.operands)
        ea, eb, out = unsigned(a), unsigned(b), unsigned(group.output_type)
        bounds = clamp_bounds(group)
        assert ea is not None and eb is not None and out is not None and bounds is not None
        fixed = fixed_point([scale_ratio(ea, out), scale_ratio(eb, out)])
        scaling = Scaling(
            -ea.zero.array.astype(np.int64),
            fixed.multipliers[0],
            fixed.shift,
            int(out.zero.array),
            *bounds,
        )
        residual = Residual(physical_shape(b), int(eb.zero.array), fixed.multipliers[1])
        scaled = requantize(scaling, channels(a.shape[1]), self.isa, residual)
        shape = add_int8.ElementShape(a.shape[0], a.shape[1], a.shape[2:])
        schedule = add_int8.default(shape, self.isa)
        x, y = group.anchor.operands
        arguments: tuple[Argument, ...] = (x, *scaled.constants.values(), y, *group.outputs)
        return Emitted(
            lambda name: add_int8.emit(name, shape, self.isa, schedule, scaled.epilogue), arguments
        )
