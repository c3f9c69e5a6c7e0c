"""Softmax and normalizations."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LpNorm, RmsNorm
from codesign.ir.ops.softmax import AlongAxis
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, Env, Expr, Value, refuse_chain
from codesign.targets.tvm.cost import roofline
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import elementwise, normalize
from codesign.targets.tvm.kernels.normalize import RowShape
from codesign.targets.tvm.patterns.matmul import refuse_float32
from codesign.targets.tvm.patterns.pool import p_norm
from codesign.targets.tvm.storage import physical_shape


@dataclass(frozen=True)
class Plan:
    """How an anchor runs: its rows, what is done to one, and its scale and bias with their axis."""

    rows: RowShape
    body: normalize.Body
    affine: tuple[str | None, str | None] = (None, None)
    axis: int | None = None


class RowKernel(CpuKernel):
    """Softmax and normalizations, row by row on the plain layout."""

    name: ClassVar[str] = "normalize"
    anchors: ClassVar[frozenset[str]] = frozenset(
        {
            "group_norm",
            "instance_norm",
            "layer_norm",
            "log_softmax",
            "lp_norm",
            "rms_norm",
            "softmax",
        }
    )

    def refuse(self, group: Group) -> Refusal | None:
        if not group.anchor_type.size:
            return Refusal("rows have elements", f"the result is {group.anchor_type}")
        return refuse_float32(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        plan, chain = _plan(group), Chain(group)
        scale, bias = (_operand(chain, value, plan.axis) for value in plan.affine)

        def start(env: Env) -> Expr:
            y = env.acc if scale is None else env.acc * scale(env)
            return y if bias is None else y + bias(env)

        epilogue = chain.epilogue(start)
        return Emitted(
            lambda name: normalize.emit(name, plan.rows, self.isa, epilogue, plan.body),
            (group.anchor.operands[0], *chain.arguments, *group.outputs),
        )

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Several passes over every element, each as dear as one element-wise op."""
        return roofline(self.machine, self.isa, self.name, group, self.efficiency, self.rate)


def _operand(chain: Chain, value: str | None, axis: int | None) -> Value | None:
    if value is None:
        return None
    return chain.value(value) if axis is None else chain.along(value, axis)


def _plan(group: Group) -> Plan:
    op, shape = group.anchor.op, group.anchor_type.shape
    affine = group.input(1), group.input(2)
    if isinstance(op, AlongAxis):
        soft: normalize.Body = normalize.softmax
        if op.kind != "softmax":
            soft = normalize.log_softmax
        return Plan(RowShape.along(shape, op.axis), soft)
    if isinstance(op, LpNorm):
        return Plan(RowShape.along(shape, op.axis), normalize.lp_norm(p_norm(op.p), op.epsilon))
    if isinstance(op, LayerNorm):
        return Plan(RowShape.behind(shape, op.axis), normalize.layer_norm(op.epsilon), affine)
    if isinstance(op, RmsNorm):
        body = normalize.rms_norm(op.epsilon)
        return Plan(RowShape.behind(shape, op.axis), body, (group.input(1), None))
    assert isinstance(op, GroupNorm | InstanceNorm)
    rows = shape[0] * (op.groups if isinstance(op, GroupNorm) else shape[1])
    whole = RowShape(shape, rows, group.anchor_type.size // rows, 1)
    return Plan(whole, normalize.layer_norm(op.epsilon), affine, 1)


class BatchNormScale(CpuKernel):
    """A batch norm that is left on its own: a scale and a shift for each channel."""

    name: ClassVar[str] = "batch-norm"
    anchors: ClassVar[frozenset[str]] = frozenset({"batch_norm"})

    def refuse(self, group: Group) -> Refusal | None:
        if any(group.constant(role) is None for role in range(1, 5)):
            return Refusal("statistics are folded while compiling", "they are no constants")
        return refuse_float32(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return None

    def emit(self, group: Group, point: Point) -> Emitted:
        op, chain = group.anchor.op, Chain(group)
        assert isinstance(op, BatchNorm)
        constants = [group.constant(role) for role in range(1, 5)]
        scale, bias, mean, var = (c.array.astype("float64") for c in constants if c is not None)
        factor = scale / (var + op.epsilon) ** 0.5
        x = chain.value(group.anchor.operands[0])
        times = chain.channels(factor.astype("float32"), 1)
        plus = chain.channels((bias - mean * factor).astype("float32"), 1)
        epilogue = chain.epilogue(lambda env: x(env) * times(env) + plus(env))
        shape = physical_shape(group.output_type)
        return Emitted(
            lambda name: elementwise.emit(name, shape, self.isa, epilogue),
            (*chain.arguments, *group.outputs),
        )
