"""Positions of extremes, running sums, the k largest, scattered updates."""

from math import prod
from typing import Any, ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.ops.order import ArgMax, CumSum, TopK
from codesign.ir.ops.scatter import ScatterElements, ScatterNd
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import order, scatter
from codesign.targets.tvm.kernels.order import Axis
from codesign.targets.tvm.patterns.indexed import wrapped
from codesign.targets.tvm.patterns.pool import refuse_encoded
from codesign.targets.tvm.storage import physical_bytes, physical_dtype, physical_shape
from codesign.targets.tvm.tir import Buffer, Expr, load


class Lone(CpuKernel):
    """A kernel of one op on plain tensors, element by element."""

    steps: ClassVar[float] = 1.0  # nanoseconds for each element read

    def refuse(self, group: Group) -> Refusal | None:
        if len(group.nodes) > 1:
            return Refusal("this op stands alone", "something is fused behind it")
        return refuse_encoded(group)

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def cost(self, group: Group, point: Point) -> LayerCost:
        """A serial step for each element of the first operand."""
        kind = group.input_type(0)
        assert kind is not None
        moved = sum(physical_bytes(group.type(v)) for v in (*group.operands, *group.outputs))
        work = self.steps * kind.size / self.machine.threads
        return layer_cost(self.machine, self.isa, self.name, group, work, moved)

    def argument(self, group: Group, role: int) -> Argument:
        """The anchor's input `role` as an argument."""
        const, value = group.constant(role), group.input(role)
        assert value is not None
        shape = physical_shape(group.type(value))
        return value if const is None else const.array.reshape(shape)


class AlongAxis(Lone):
    """Serial loops along one axis."""

    name: ClassVar[str] = "order"
    anchors: ClassVar[frozenset[str]] = frozenset({"argmax", "argmin", "cumsum", "top_k"})
    steps: ClassVar[float] = 2.0

    def refuse(self, group: Group) -> Refusal | None:
        kind = group.input_type(0)
        assert kind is not None
        if not kind.size:
            return Refusal("rows have elements", f"the operand is {kind}")
        return super().refuse(group)

    def emit(self, group: Group, point: Point) -> Emitted:
        op, kind = group.anchor.op, group.input_type(0)
        assert isinstance(op, ArgMax | CumSum | TopK) and kind is not None
        shape, axis = kind.shape, op.axis
        dtype = physical_dtype(kind)
        rows = Axis(shape, prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), dtype)
        out = physical_shape(group.output_type)

        def make(name: str) -> Any:
            if isinstance(op, CumSum):
                return order.running_sum(name, rows, op.exclusive, op.reverse)
            if isinstance(op, TopK):
                return order.top(name, rows, op.k, out, order.beats(op.largest, dtype))
            wins = order.beats(op.kind == "argmax", dtype)
            return order.extreme(name, rows, out, wins, op.last)

        return Emitted(make, (self.argument(group, 0), *group.outputs))


class Scatter(Lone):
    """Updates written at positions that are data."""

    name: ClassVar[str] = "scatter"
    anchors: ClassVar[frozenset[str]] = frozenset({"scatter_elements", "scatter_nd"})

    def emit(self, group: Group, point: Point) -> Emitted:
        op = group.anchor.op
        assert isinstance(op, ScatterElements | ScatterNd)
        kinds = [group.input_type(role) for role in range(3)]
        described = [(physical_shape(k), physical_dtype(k)) for k in kinds if k is not None]
        x, indices, updates = described

        def elements(where: Buffer, u: tuple[Expr, ...]) -> tuple[Expr, ...]:
            assert isinstance(op, ScatterElements)
            at = wrapped(load(where, u), x[0][op.axis])
            return (*u[: op.axis], at, *u[op.axis + 1 :])

        def slices(where: Buffer, u: tuple[Expr, ...]) -> tuple[Expr, ...]:
            lead, count = len(indices[0]) - 1, indices[0][-1]
            found = [wrapped(load(where, (*u[:lead], k)), x[0][k]) for k in range(count)]
            return (*found, *u[lead:])[: len(x[0])]

        place = elements if isinstance(op, ScatterElements) else slices
        return Emitted(
            lambda name: scatter.emit(name, x, indices, updates, op.reduction, place, self.isa),
            (*(self.argument(group, role) for role in range(3)), *group.outputs),
        )
