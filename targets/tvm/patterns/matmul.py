"""Matrix products and fully connected layers in float32."""

from math import prod
from typing import ClassVar

import numpy as np

from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, refuse_chain
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.kernel import CpuKernel, default_point, from_point, to_point
from codesign.targets.tvm.kernels import gemm
from codesign.targets.tvm.kernels.gemm import GemmShape
from codesign.targets.tvm.patterns.pool import refuse_encoded

# Kinds with so much code that one copy for each accumulator would be too much.
LONG = frozenset({"erf", "exp", "gelu", "log", "mish", "sigmoid", "silu", "softplus", "tanh"})


def refuse_float32(group: Group) -> Refusal | None:
    """None if every value of the group is stored as float32."""
    for value in (*group.operands, *group.outputs):
        if group.type(value).dtype != "f32":
            return Refusal("this kernel computes in float32", f"%{value} is {group.type(value)}")
    return refuse_encoded(group)


class MatMulKernel(CpuKernel):
    """A product of two matrices or of two stacks of them; a constant right one is packed."""

    name: ClassVar[str] = "matmul"
    anchors: ClassVar[frozenset[str]] = frozenset({"matmul", "linear"})
    efficiency: ClassVar[float] = 0.75
    rate: ClassVar[float] = 10.5

    def refuse(self, group: Group) -> Refusal | None:
        if group.anchor.kind == "linear" and group.constant(1) is None:
            return Refusal("weights are packed while compiling", "the weight is no constant")
        if not prod(group.anchor_type.shape) or not self.shape(group).depth:
            return Refusal("products have elements", f"the result is {group.anchor_type}")
        return refuse_float32(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def shape(self, group: Group) -> GemmShape:
        """The problem that the anchor poses."""
        a, b, out = group.input_type(0), group.input_type(1), group.anchor_type.shape
        assert a is not None and b is not None
        linear = group.anchor.kind == "linear"
        columns = b.shape[0] if linear else b.shape[-1] if b.rank > 1 else 1
        flat = linear or (b.rank == 2 and a.rank > 1)
        lines = a.shape[:-1] if flat else a.shape[-2:-1]
        batch = () if flat else out[: len(out) - (a.rank > 1) - (b.rank > 1)]
        packed = b.rank == 2 and group.constant(1) is not None
        content = b.shape[::-1] if linear else b.shape
        return GemmShape(a.shape, content, out, batch, lines, columns, a.shape[-1], packed)

    def default(self, group: Group) -> Point:
        return default_point(gemm, self.shape(group), self.isa)

    def space(self, group: Group) -> list[Point]:
        return [to_point(point) for point in gemm.space(self.shape(group), self.isa)]

    def emit(self, group: Group, point: Point) -> Emitted:
        shape, schedule = self.shape(group), from_point(gemm.Point, point)
        chain, bias = Chain(group), group.input(2)
        axis = group.output_type.rank - 1
        add = None if bias is None else chain.along(bias, axis)
        epilogue = chain.epilogue(lambda env: env.acc if add is None else env.acc + add(env))
        deferred = any(node.kind in LONG for node in group.chain)
        return Emitted(
            lambda name: gemm.emit(name, shape, self.isa, schedule, epilogue, deferred),
            (*self._operands(group, shape, schedule), *chain.arguments, *group.outputs),
        )

    def _operands(
        self, group: Group, shape: GemmShape, schedule: gemm.Point
    ) -> tuple[Argument, Argument]:
        a, b = (group.input(role) for role in range(2))
        assert a is not None and b is not None
        left, right = group.constant(0), group.constant(1)
        first: Argument = a if left is None else np.ascontiguousarray(left.array)
        if right is None:
            return first, b
        if not shape.packed:
            return first, np.ascontiguousarray(right.array)
        turned = right.array.T if group.anchor.kind == "linear" else right.array
        return first, gemm.pack(turned, self.isa, schedule)
