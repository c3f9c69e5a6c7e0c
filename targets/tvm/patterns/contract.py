"""Contractions that no other kernel takes: weights from run time, integers, any equation."""

import math
from typing import ClassVar

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.ir.loops import Access, LoopNest, axis
from codesign.ir.ops.einsum import Einsum, labels
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, refuse_chain
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import contract
from codesign.targets.tvm.kernels.contract import Contraction
from codesign.targets.tvm.patterns.pool import refuse_encoded
from codesign.targets.tvm.storage import physical_bytes, physical_dtype

NANOSECONDS = 1.5  # for each multiply-accumulate


def _equation(op: Einsum, operands: list[TensorType]) -> LoopNest:
    """The nest of an equation; an operand's axis of extent 1 is broadcast."""
    terms, result = labels(op, op.equation, [t.rank for t in operands])
    sizes = [dict(zip(term, t.shape, strict=True)) for term, t in zip(terms, operands, strict=True)]
    extents = {letter: max(s.get(letter, 1) for s in sizes) for term in terms for letter in term}
    accesses = [
        Access(i, tuple(axis(x) if t.shape[n] > 1 else axis() for n, x in enumerate(term)))
        for i, (term, t) in enumerate(zip(terms, operands, strict=True))
    ]
    return LoopNest(
        tuple(extents.items()), (*accesses, Access(-1, tuple(axis(letter) for letter in result)))
    )


class Contract(CpuKernel):
    """Any contraction with a loop nest, element by element."""

    name: ClassVar[str] = "contract"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "einsum", "linear", "matmul"})

    def nest(self, group: Group) -> LoopNest | None:
        """The anchor's loop nest; that of an equation for any number of operands."""
        types = group.graph.input_types(group.anchor)
        if isinstance(group.anchor.op, Einsum):
            return _equation(group.anchor.op, [t for t in types if t is not None])
        return group.anchor.op.loops(types, (group.anchor_type,))

    def refuse(self, group: Group) -> Refusal | None:
        nest = self.nest(group)
        if nest is None or not contract.accepts(nest):
            return Refusal("this kernel runs loop nests with a plain result", "this has none")
        if group.anchor_type.dtype == "bool":
            return Refusal("contractions are over numbers", "the result is bool")
        return refuse_encoded(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        nest, kind = self.nest(group), group.anchor_type
        assert nest is not None
        types = group.graph.input_types(group.anchor)
        count = len(types) if group.anchor.kind == "einsum" else 2
        shapes = tuple(t.shape for t in types[:count] if t is not None)
        if not all(math.prod(shape) for shape in shapes):
            shapes = ()  # a sum of nothing reads nothing
        problem = Contraction(nest, shapes, kind.shape, physical_dtype(kind))
        chain, dtype = Chain(group), physical_dtype(kind)
        bias = group.input(2) if group.anchor.kind in ("conv", "linear") else None
        last = 1 if group.anchor.kind == "conv" else kind.rank - 1
        add = None if bias is None else chain.along(bias, last)
        epilogue = chain.epilogue(
            lambda env: env.acc.astype(dtype) if add is None else env.acc.astype(dtype) + add(env)
        )
        return Emitted(
            lambda name: contract.emit(name, problem, self.isa, epilogue),
            (*self._operands(group, len(shapes)), *chain.arguments, *group.outputs),
        )

    def _operands(self, group: Group, count: int) -> list[Argument]:
        found: list[Argument] = []
        for role in range(count):
            const, value = group.constant(role), group.input(role)
            assert value is not None
            found.append(value if const is None else np.ascontiguousarray(const.array))
        return found

    def cost(self, group: Group, point: Point) -> LayerCost:
        """One scalar step for each multiply-accumulate."""
        moved = sum(physical_bytes(group.type(v)) for v in (*group.operands, *group.outputs))
        work = NANOSECONDS * group.macs / self.machine.threads
        return layer_cost(self.machine, self.isa, self.name, group, work, moved)
