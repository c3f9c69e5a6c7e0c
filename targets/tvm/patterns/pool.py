"""Pools and reductions."""

from typing import ClassVar

from codesign.ir.encodings.tiled import Tiled
from codesign.ir.ops.pool import AvgPool, LpPool, MaxPool, Pool
from codesign.ir.ops.reduce import Reduce
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, refuse_chain
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import pool, reduce
from codesign.targets.tvm.kernels.fold import FAST_MAX, FOLDS, MEAN, Fold
from codesign.targets.tvm.kernels.shapes import default_block
from codesign.targets.tvm.kernels.window import Window
from codesign.targets.tvm.storage import physical_dtype, physical_shape

Places = tuple[tuple[int, ...], ...]


def refuse_encoded(group: Group) -> Refusal | None:
    """None if no value that is computed at run time is stored as codes."""
    for value in (*group.variables, *group.outputs):
        if group.type(value).element is not None:
            return Refusal("this kernel works on plain numbers", f"%{value} is {group.type(value)}")
    return None


class PoolWindows(CpuKernel):
    """Maximum, mean or p-norm of windows."""

    name: ClassVar[str] = "pool"
    anchors: ClassVar[frozenset[str]] = frozenset({"max_pool", "avg_pool", "lp_pool"})

    def refuse(self, group: Group) -> Refusal | None:
        if len(group.anchor.outputs) > 1:
            return Refusal("this kernel makes no positions", "they are asked for")
        return refuse_encoded(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return None

    def emit(self, group: Group, point: Point) -> Emitted:
        op, kind = group.anchor.op, group.input_type(0)
        assert isinstance(op, Pool) and kind is not None
        physical = physical_shape(kind)
        sizes = physical[2 : 2 + len(op.kernel)]
        columns = zip(
            sizes,
            op.kernel,
            op.strides,
            op.dilations,
            (before for before, _ in op.pads),
            group.anchor_type.shape[2:],
            strict=True,
        )
        shape = pool.PoolShape(
            (physical[0], physical[1]),
            tuple(Window(*column) for column in columns),
            kind.layout.tile if kind.layout else 1,
            physical_dtype(kind),
            _fold(op),
            isinstance(op, AvgPool) and not op.count_include_pad,
        )
        chain = Chain(group)
        epilogue = chain.epilogue(lambda env: env.acc.astype(physical_dtype(kind)))
        return Emitted(
            lambda name: pool.emit(name, shape, self.isa, epilogue),
            (group.anchor.operands[0], *chain.arguments, *group.outputs),
        )


def _fold(op: Pool) -> Fold:
    if isinstance(op, MaxPool):
        return FAST_MAX
    if isinstance(op, AvgPool):
        return MEAN
    assert isinstance(op, LpPool)
    return p_norm(op.p)


def p_norm(p: float) -> Fold:
    """(sum of |x|^p)^(1/p)."""
    from codesign.targets.tvm.scalar import power

    if p in (1.0, 2.0):
        return FOLDS[f"reduce_l{int(p)}"]
    absolute = FOLDS["reduce_l1"]
    return Fold(
        absolute.start,
        lambda acc, x: acc + power(_magnitude(x), p),
        absolute.merge,
        lambda acc, count: power(acc, 1 / p),
    )


def _magnitude(x: object) -> object:
    from codesign.ir.ops.unary import Abs
    from codesign.targets.tvm.scalar import lowered

    return lowered(Abs(), [x])


class ReduceAxes(CpuKernel):
    """A reduction over any axes of a plain tensor."""

    name: ClassVar[str] = "reduce"
    anchors: ClassVar[frozenset[str]] = frozenset(FOLDS)

    def refuse(self, group: Group) -> Refusal | None:
        kind = group.input_type(0)
        assert kind is not None
        if kind.dtype == "bool":
            return Refusal("reductions are over numbers", "the operand is bool")
        return refuse_encoded(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        op, kind = group.anchor.op, group.input_type(0)
        assert isinstance(op, Reduce) and kind is not None
        places: Places = tuple(() if i in op.axes else (i,) for i in range(kind.rank))
        if not op.keepdims:
            places = tuple(place for place in places if place)
        return self.reduced(group, kind.shape or (1,), op.axes, places or ((),))

    def reduced(
        self,
        group: Group,
        shape: tuple[int, ...],
        axes: tuple[int, ...],
        places: Places,
    ) -> Emitted:
        """The reduction of a buffer of `shape` (see `reduce.Reduction`)."""
        kind = group.input_type(0)
        assert kind is not None
        dtype = physical_dtype(kind)
        r = reduce.Reduction(shape, axes, places, dtype, FOLDS[group.anchor.kind])
        chain = Chain(group)
        epilogue = chain.epilogue(lambda env: env.acc.astype(dtype))
        data = group.anchor.operands[:1] if r.count else ()  # of nothing, the fold's start
        return Emitted(
            lambda name: reduce.emit(name, r, self.isa, epilogue),
            (*data, *chain.arguments, *group.outputs),
        )


class ReducePixels(ReduceAxes):
    """A reduction over all pixels of a blocked tensor: a global pool."""

    name: ClassVar[str] = "reduce-pixels"
    rate: ClassVar[float] = 8.5

    def refuse(self, group: Group) -> Refusal | None:
        op, kind = group.anchor.op, group.input_type(0)
        assert isinstance(op, Reduce) and kind is not None
        if kind.rank < 4 or op.axes != tuple(range(2, kind.rank)) or kind.dtype != "f32":
            return Refusal("a global pool reduces all pixels", f"this reduces {op.axes} of {kind}")
        block = default_block(self.isa)
        if not op.keepdims and (kind.shape[1] % block or len(group.nodes) > 1):
            return Refusal(
                f"channels without pixels come in whole blocks of {block}",
                f"there are {kind.shape[1]}",
            )
        return super().refuse(group)

    def layouts(self, group: Group) -> Layouts | None:
        op = group.anchor.op
        assert isinstance(op, Reduce)
        if op.keepdims:
            return None
        x = group.anchor.operands[0]
        return {x: Tiled(1, default_block(self.isa)), group.outputs[0]: None}

    def emit(self, group: Group, point: Point) -> Emitted:
        op, kind = group.anchor.op, group.input_type(0)
        assert isinstance(op, Reduce) and kind is not None
        if kind.layout is None:
            return super().emit(group, point)
        physical = physical_shape(kind)
        lanes = len(physical) - 1
        pixels: Places = ((),) * (kind.rank - 2)
        kept: Places = ((0,), (1,), *pixels, (lanes,)) if op.keepdims else ((0,), (1, lanes))
        # Without its pixel axes the result is plain: a block of channels is where it would be.
        return self.reduced(group, physical, op.axes, kept)
