"""Float layers whose constant weight is stored sparsely: csr, bitmap, block, n of m."""

from functools import lru_cache
from math import prod
from typing import ClassVar

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.ir.const import Const
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel, from_point, to_point
from codesign.targets.tvm.kernels import sparse, sparse_cost, sparse_panel
from codesign.targets.tvm.kernels.sparse_frame import Frame, rows
from codesign.targets.tvm.kernels.sparse_point import Point as Schedule
from codesign.targets.tvm.kernels.sparse_point import accepts, lists, space
from codesign.targets.tvm.patterns.conv import conv_shape, refuse_float
from codesign.targets.tvm.storage import physical_bytes

STRUCTURES = frozenset({"csr", "bitmap", "block", "nm"})


class Sparse(CpuKernel):
    """A convolution or linear layer that computes with the nonzero weights alone."""

    name: ClassVar[str] = "sparse"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "linear"})

    def refuse(self, group: Group) -> Refusal | None:
        weight = group.input_type(1)
        structure = None if weight is None else weight.structure
        if structure is None or structure.kind not in STRUCTURES:
            return Refusal(
                "this kernel takes weights in csr, bitmap, block or nm", f"it is {weight}"
            )
        refusal = refuse_float(group)
        if refusal is not None:
            return refusal
        frame = self.frame(group)
        if not accepts(frame.shape) or not prod(frame.out):
            return Refusal("it has one or two axes and pads of at least 0", f"it is {frame.shape}")
        return None

    def frame(self, group: Group) -> Frame:
        """The problem that the anchor poses."""
        if not isinstance(group.anchor.op, Linear):
            return Frame(conv_shape(group, 1))
        x, w = group.input_type(0), group.input_type(1)
        assert x is not None and w is not None
        return rows(x.shape[:-1], w.shape[1], w.shape[0])

    def layouts(self, group: Group) -> Layouts | None:
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def default(self, group: Group) -> Point:
        frame, weight = self.frame(group), group.constant(1)
        assert weight is not None
        return to_point(
            min(
                space(frame, self.isa),
                key=lambda p: sparse_cost.cycles(frame, self.isa, p, *_size(weight, p.rows)),
            )
        )

    def space(self, group: Group) -> list[Point]:
        return [to_point(p) for p in space(self.frame(group), self.isa)]

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Counted cycles of the tiles (see `sparse_cost`); the work is that of the nonzeros."""
        schedule, weight = from_point(Schedule, point), group.constant(1)
        assert weight is not None
        lists, columns = _size(weight, schedule.rows)
        cycles = sparse_cost.cycles(self.frame(group), self.isa, schedule, lists, columns)
        busy = cycles / (self.machine.ghz * self.machine.threads)
        values = [v for v in (*group.operands, *group.outputs) if v != group.input(1)]
        moved = sum(physical_bytes(group.type(v)) for v in values)
        moved += 4 * (lists + columns * (1 + schedule.rows))
        done = group.macs * int(np.count_nonzero(weight.array)) // max(1, weight.array.size)
        return layer_cost(self.machine, self.isa, self.name, group, busy, moved, 40.0, done)

    def emit(self, group: Group, point: Point) -> Emitted:
        frame, schedule = self.frame(group), from_point(Schedule, point)
        x, weight = group.input(0), group.constant(1)
        assert x is not None and weight is not None
        chain, bias = Chain(group), group.input(2)
        axis = group.output_type.rank - 1 if group.anchor.kind == "linear" else 1
        add = None if bias is None else chain.along(bias, axis)
        epilogue = chain.epilogue(lambda env: env.acc if add is None else env.acc + add(env))
        others = (*chain.arguments, *group.outputs)
        if not schedule.panel:
            packed = sparse.pack(weight.array, frame.shape, schedule)
            return Emitted(
                lambda name: sparse.emit(name, frame, self.isa, schedule, packed, epilogue),
                (x, *packed.arrays, *others),
            )
        panels = sparse_panel.pack(weight.array, frame.shape, self.isa, schedule)
        settings = frame, self.isa, schedule, panels, epilogue, self.machine.threads
        return Emitted(
            lambda name: sparse_panel.emit(name, *settings), (x, *panels.arrays, *others)
        )


@lru_cache(maxsize=1024)
def _size(weight: Const, rows: int) -> tuple[int, int]:
    """(lists, columns of all of them) of a weight."""
    used = lists(weight.array, rows)
    return len(used), int(np.count_nonzero(used))
