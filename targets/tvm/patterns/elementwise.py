"""Element-wise groups on their own, layout conversions, and views."""

from math import prod
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.ops import OPS
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, refuse_chain
from codesign.targets.tvm.cost import roofline
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import elementwise, relayout
from codesign.targets.tvm.scalar import SCALAR
from codesign.targets.tvm.storage import physical_dtype, physical_shape

VIEWS = frozenset({"reshape", "flatten", "squeeze", "expand_dims"})


class Elementwise(CpuKernel):
    """A chain of element-wise ops over tensors of one layout."""

    name: ClassVar[str] = "elementwise"
    anchors: ClassVar[frozenset[str]] = frozenset(kind for kind in SCALAR if kind != "relayout")

    def refuse(self, group: Group) -> Refusal | None:
        return refuse_chain(group, with_anchor=True)

    def layouts(self, group: Group) -> Layouts | None:
        return None

    def cost(self, group: Group, point: Point) -> LayerCost:
        """As any kernel's; rounding to codes is slow."""
        rounds = any(node.kind == "encode" for node in group.nodes)
        rate = 4.2 if rounds else self.rate
        return roofline(self.machine, self.isa, self.name, group, self.efficiency, rate)

    def emit(self, group: Group, point: Point) -> Emitted:
        chain = Chain(group)
        epilogue = chain.epilogue(None)
        shape = physical_shape(group.output_type)
        return Emitted(
            lambda name: elementwise.emit(name, shape, self.isa, epilogue),
            (*chain.arguments, *group.outputs),
        )


class Relayout(CpuKernel):
    """A copy into another layout."""

    name: ClassVar[str] = "relayout"
    anchors: ClassVar[frozenset[str]] = frozenset({"relayout"})

    def refuse(self, group: Group) -> Refusal | None:
        if len(group.nodes) > 1:
            return Refusal("a layout conversion stands alone", "something is fused behind it")
        layouts = [group.type(v).layout for v in (*group.variables, *group.outputs)]
        if any(layout is not None and layout.packed for layout in layouts):
            return Refusal("this kernel copies elements", "packed codes share words")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: group.type(v).layout for v in (*group.variables, *group.outputs)}

    def emit(self, group: Group, point: Point) -> Emitted:
        x = group.operands[0]
        source, result = group.type(x), group.output_type
        if _same_memory(source) and _same_memory(result):
            return Emitted(None, (x, *group.outputs))
        return Emitted(
            lambda name: relayout.emit(
                name, result.shape, physical_dtype(result), source.layout, result.layout, self.isa
            ),
            (x, *group.outputs),
        )


def _same_memory(kind: TensorType) -> bool:
    """True if a value of type `kind` lies in memory as it does in the plain layout."""
    layout = kind.layout
    if layout is None:
        return True
    behind = prod(kind.shape[layout.axis + 1 :])
    return behind == 1 and kind.shape[layout.axis] % layout.tile == 0


class View(CpuKernel):
    """Another shape of the same plain buffer: no code at all."""

    name: ClassVar[str] = "view"
    anchors: ClassVar[frozenset[str]] = VIEWS

    def refuse(self, group: Group) -> Refusal | None:
        x, y = group.input_type(0), group.output_type
        assert x is not None
        if len(group.nodes) > 1:
            return Refusal("a view stands alone", "something is fused behind it")
        if x.element != y.element or x.dtype != y.dtype:
            return Refusal("a view keeps the stored elements", f"{x} becomes {y}")
        if not group.variables:
            return Refusal("a view has an operand computed at run time", "it is a constant")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        return Emitted(None, (group.operands[0], *group.outputs))

    def cost(self, group: Group, point: Point) -> LayerCost:
        return LayerCost(group.name, group.anchor.kind, self.name, 0, 0.0, 0.0, 0.0, "none")


class Nothing(CpuKernel):
    """Results without elements: no code at all."""

    name: ClassVar[str] = "nothing"
    anchors: ClassVar[frozenset[str]] = frozenset(OPS)

    def refuse(self, group: Group) -> Refusal | None:
        full = [v for v in group.outputs if group.type(v).size]
        if len(group.nodes) > 1 or full or len(group.outputs) > 1 or not group.variables:
            return Refusal("there is nothing to compute", "a result has elements")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        return Emitted(None, (group.variables[0], *group.outputs))

    def cost(self, group: Group, point: Point) -> LayerCost:
        return LayerCost(group.name, group.anchor.kind, self.name, 0, 0.0, 0.0, 0.0, "none")
