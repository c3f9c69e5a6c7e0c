"""Ops that move elements: each is a list of boxes to copy (see `kernels.remap`)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from codesign.analysis.codes import row_codes, table_of
from codesign.analysis.estimate import LayerCost
from codesign.ir.ops.gather import Embedding, Gather
from codesign.ir.ops.join import Concat, Pad, Slice, Split, Tile
from codesign.ir.ops.rearrange import DepthToSpace, SpaceToDepth
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.shape import Expand, Transpose
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import remap
from codesign.targets.tvm.kernels.remap import Move, Remap, Table, strides
from codesign.targets.tvm.kernels.shapes import default_block
from codesign.targets.tvm.storage import physical_bytes, physical_dtype, physical_shape

Shape = tuple[int, ...]


@dataclass
class Boxes:
    """The moves of one group while they are collected; buffers are physical."""

    group: Group
    sources: list[Argument] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    fill: float | None = None

    def shape(self, role: int = 0) -> Shape:
        """Physical shape of the anchor's input `role`."""
        kind = self.group.input_type(role)
        assert kind is not None
        return physical_shape(kind)

    def result(self, number: int = 0) -> Shape:
        """Physical shape of a result."""
        return physical_shape(self.group.type(self.group.outputs[number]))

    def source(self, role: int = 0) -> int:
        """The argument number of the anchor's input `role`."""
        value = self.group.input(role)
        assert value is not None
        const = self.group.graph.constants.get(value)
        if const is None:
            return self.argument(value)
        code = self.group.output_type.integer if const.array.dtype.kind == "f" else None
        if code is not None and code.axis is not None:  # a table's rows: its own scales
            code = self.group.type(value).integer
        content = const.array if code is None else code.encode(const.array)["values"]
        return self.argument(np.ascontiguousarray(content))

    def argument(self, argument: Argument) -> int:
        """The number of a further input."""
        self.sources.append(argument)
        return len(self.sources) - 1

    def table(self, positions: np.ndarray, step: int, extent: int) -> Table:
        """Constant positions along an axis."""
        return Table(self.argument(positions.reshape(-1).astype(np.int32)), step, extent)

    def move(
        self,
        extents: Shape,
        reads: tuple[Any, ...],
        writes: Shape,
        first: int = 0,
        start: int = 0,
        source: int | None = None,
        target: int = 0,
    ) -> None:
        """Add a box; the anchor's first input is the source unless another one is given."""
        number = self.source() if source is None else source
        self.moves.append(Move(number, target, extents, reads, writes, first, start))

    def emitted(self, isa: Isa) -> Emitted:
        """The function and its arguments; results without elements have no buffer."""
        group = self.group
        inputs = tuple(self._described(argument) for argument in self.sources)
        kept = [v for v in group.outputs if group.type(v).size]
        numbers = {group.outputs.index(v): i for i, v in enumerate(kept)}
        outputs = tuple(
            (physical_shape(group.type(v)), physical_dtype(group.type(v))) for v in kept
        )
        moves = [replace(m, target=numbers[m.target]) for m in self.moves if prod(m.extents)]
        whole = Remap(inputs, outputs, tuple(moves), self.fill)
        return Emitted(lambda name: remap.emit(name, whole, isa), (*self.sources, *kept))

    def _described(self, argument: Argument) -> tuple[Shape, str]:
        if isinstance(argument, str):
            kind = self.group.type(argument)
            return physical_shape(kind), physical_dtype(kind)
        return argument.shape or (1,), argument.dtype.name


def _transpose(op: Transpose, boxes: Boxes) -> None:
    steps, out = strides(boxes.shape()), boxes.result()
    boxes.move(out, tuple(steps[axis] for axis in op.perm) or (1,), strides(out))


def _expand(op: Expand, boxes: Boxes) -> None:
    out, shape = boxes.result(), boxes.shape()
    shape = (1,) * (len(out) - len(shape)) + shape
    steps = strides(shape)
    reads = tuple(0 if e == 1 else s for e, s in zip(shape, steps, strict=True))
    boxes.move(out, reads, strides(out))


def _tile(op: Tile, boxes: Boxes) -> None:
    shape, out = boxes.shape(), boxes.result()
    pairs = [(r, e) for r, e in zip(op.repeats or (1,), shape, strict=True)]
    inner, outer = strides(shape), strides(out)
    extents = tuple(x for pair in pairs for x in pair)
    reads = tuple(x for step in inner for x in (0, step))
    writes = tuple(x for e, step in zip(shape, outer, strict=True) for x in (e * step, step))
    boxes.move(extents, reads, writes)


def _slice(op: Slice, boxes: Boxes) -> None:
    shape, out = boxes.shape(), boxes.result()
    steps = list(strides(shape))
    first = 0
    for position, axis in enumerate(op.axes):
        taken = op.range(position, shape[axis])
        first += taken.start * steps[axis]
        steps[axis] *= taken.step
    boxes.move(out, tuple(steps), strides(out), first)


def _concat(op: Concat, boxes: Boxes) -> None:
    steps, start = strides(boxes.result()), 0
    for role, value in enumerate(boxes.group.anchor.operands):
        if not prod(boxes.shape(role)):
            continue
        part, source = boxes.shape(role), boxes.source(role)
        axis, extents = _joined(op.axis, boxes.group.type(value), part)
        boxes.move(extents, strides(part), steps, 0, start * steps[axis], source)
        start += extents[axis]


def _split(op: Split, boxes: Boxes) -> None:
    steps, first, source = strides(boxes.shape()), 0, boxes.source()
    for number, value in enumerate(boxes.group.outputs):
        part = boxes.result(number)
        axis, extents = _joined(op.axis, boxes.group.type(value), part)
        boxes.move(extents, steps, strides(part), first * steps[axis], 0, source, number)
        first += extents[axis]


def _joined(axis: int, kind: TensorType, physical: Shape) -> tuple[int, Shape]:
    """The physical axis along which parts of type `kind` lie side by side, and their extents.

    Codes lie with all channels last, of which only those that there are count.
    """
    if kind.integer is None or kind.layout is None or axis != kind.layout.axis:
        return axis, physical
    return len(physical) - 1, (*physical[:-1], kind.shape[axis])


def _pad(op: Pad, boxes: Boxes) -> None:
    shape, out = boxes.shape(), boxes.result()
    if op.mode == "constant":
        start = sum(b * s for (b, _), s in zip(op.pads, strides(out), strict=True))
        code = boxes.group.output_type.integer
        boxes.fill = (
            op.value if code is None else float(code.encode(np.asarray(op.value))["values"])
        )
        boxes.move(shape, strides(shape), strides(out), 0, start)
        return
    import torch

    source = boxes.source()
    reads: list[int | Table] = []
    for (before, after), extent, step in zip(op.pads, shape, strides(shape), strict=True):
        if before or after:
            places = op._source(torch.arange(-before, extent + after), extent).numpy()
            reads.append(boxes.table(places, step, extent))
        else:
            reads.append(step)
    boxes.move(out, tuple(reads), strides(out), source=source)


def _resize(op: Resize, boxes: Boxes) -> None:
    shape, out, source = boxes.shape(), boxes.result(), boxes.source()
    kind = boxes.group.input_type(0)
    assert kind is not None
    resampled = op.resampled(kind.shape)
    reads: list[int | Table] = list(strides(shape))
    for axis in resampled:
        places = op.positions(axis, shape[axis])
        reads[axis] = boxes.table(places, strides(shape)[axis], shape[axis])
    boxes.move(out, tuple(reads), strides(out), source=source)


def _depth_to_space(op: DepthToSpace, boxes: Boxes) -> None:
    n, c, h, w = boxes.shape()
    b, out = op.block, boxes.result()
    depth = c // b**2
    plane = h * w
    by, bx, channel = b, 1, b**2
    if op.mode == "DCR":
        steps = (c * plane, plane, w, b * depth * plane, 1, depth * plane)
    else:
        steps = (c * plane, channel * plane, w, by * plane, 1, bx * plane)
    _, out_channel, out_row, _ = strides(out)
    extents = (n, depth, h, b, w, b)
    writes = (strides(out)[0], out_channel, b * out_row, out_row, b, 1)
    boxes.move(extents, steps, writes)


def _space_to_depth(op: SpaceToDepth, boxes: Boxes) -> None:
    n, c, h, w = boxes.shape()
    b = op.block
    sn, sc, sh, _ = strides(boxes.shape())
    extents = (n, b, b, c, h // b, w // b)
    boxes.move(extents, (sn, sh, 1, sc, b * sh, b), strides(extents))


def _gather(op: Gather | Embedding, boxes: Boxes) -> None:
    data, where = (0, 1) if isinstance(op, Gather) else (1, 0)
    axis = op.axis if isinstance(op, Gather) else 0
    shape, source = boxes.shape(data), boxes.source(data)
    step, extent = strides(shape)[axis], shape[axis]
    const = boxes.group.constant(where)
    if const is not None:
        places = np.where(const.array < 0, const.array + extent, const.array)
        table = boxes.table(np.clip(places, 0, extent - 1), step, extent)
    else:
        table = Table(boxes.source(where), step, extent, True)
    kind = boxes.group.input_type(where)
    assert kind is not None
    extents = (prod(shape[:axis]), kind.size, step)
    boxes.move(extents, (extent * step, table, 1), (kind.size * step, step, 1), source=source)


MOVES: dict[str, Callable[[Any, Boxes], None]] = {
    "concat": _concat,
    "depth_to_space": _depth_to_space,
    "embedding": _gather,
    "expand": _expand,
    "gather": _gather,
    "pad": _pad,
    "resize": _resize,
    "slice": _slice,
    "space_to_depth": _space_to_depth,
    "split": _split,
    "tile": _tile,
    "transpose": _transpose,
}


def coded_rows(group: Group) -> bool:
    """True if rows of a constant table are read whose columns have scales of their own."""
    table, out = table_of(group.anchor), group.output_type
    if table is None or table not in group.graph.constants or out.integer is None:
        return False
    return out.integer.axis is not None and row_codes(group.type(table), out.rank) == out.integer


def refuse_mixed(group: Group) -> Refusal | None:
    """None if all values that are moved are plain, or codes of one encoding with one scale.

    Rows of a constant table may have a scale for each column.
    """
    if coded_rows(group):
        return None
    moved = [v for v in group.variables if group.type(v).dtype.is_float]
    kinds = [group.type(v) for v in (*moved, *group.outputs)]
    code = kinds[-1].integer
    same = all(kind.element == kinds[-1].element for kind in kinds)
    if not same or (kinds[-1].element is not None and (code is None or code.axis is not None)):
        return Refusal(
            "copies keep one encoding of one scale", f"{', '.join(map(str, kinds))} are moved",
            "canonicalize makes encodings equal",
        )  # fmt: skip
    return None


def constant(value: str, array: np.ndarray, isa: Isa) -> Emitted:
    """Copies a constant into the buffer of `value`, for a graph that returns it."""
    shape, dtype = array.shape or (1,), array.dtype.name
    move = Move(0, 0, (array.size,), (1,), (1,))
    copy = Remap(((shape, dtype),), ((shape, dtype),), (move,) if array.size else ())
    content = np.ascontiguousarray(array).reshape(shape)
    return Emitted(lambda name: remap.emit(name, copy, isa), (content, value))


class MoveElements(CpuKernel):
    """Transposes, slices, pads, joins, cuts, repeats and gathers."""

    name: ClassVar[str] = "move"
    anchors: ClassVar[frozenset[str]] = frozenset(MOVES)

    def refuse(self, group: Group) -> Refusal | None:
        op = group.anchor.op
        if len(group.nodes) > 1:
            return Refusal("a copy stands alone", "something is fused behind it")
        if isinstance(op, Resize) and op.mode != "nearest":
            return Refusal("this kernel copies elements", f"mode {op.mode} combines them")
        return refuse_mixed(group)

    def layouts(self, group: Group) -> Layouts | None:
        return None if self.blocked(group) else self.plain(group)

    def plain(self, group: Group) -> Layouts:
        """Everything in the plain layout."""
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def blocked(self, group: Group) -> bool:
        """True if whole blocks of channels are moved, so that the blocked layout does as well."""
        op, block = group.anchor.op, default_block(self.isa)
        if any(role not in group.variables for role in group.anchor.operands):
            return False
        if isinstance(op, Resize):
            kind = group.input_type(0)
            assert kind is not None
            return not set(op.resampled(kind.shape)) & {0, 1}
        if isinstance(op, Concat | Split):
            parts = group.anchor.operands if isinstance(op, Concat) else group.outputs
            if group.output_type.integer is not None:  # channels last, any number of them
                return True
            return op.axis != 1 or all(group.type(v).shape[1] % block == 0 for v in parts)
        if isinstance(op, Slice):
            return 1 not in op.axes
        return isinstance(op, Pad) and not any(op.pads[1:2][0] if len(op.pads) > 1 else ())

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Every element that is moved is read and written once, whatever the source's size."""
        kinds = [group.type(v) for v in group.outputs]
        moved = 2 * sum(physical_bytes(kind) for kind in kinds)
        work = sum(kind.size for kind in kinds) / self.machine.threads
        strided = isinstance(group.anchor.op, Transpose) and self.strided(group.anchor.op)
        arithmetic = work * (0.6 if strided else 0.05)
        return layer_cost(self.machine, self.isa, self.name, group, arithmetic, moved)

    def strided(self, op: Transpose) -> bool:
        """True if the result's last axis is not the operand's."""
        return bool(op.perm) and op.perm[-1] != len(op.perm) - 1

    def emit(self, group: Group, point: Point) -> Emitted:
        op, boxes = group.anchor.op, Boxes(group)
        kind = group.input_type(0)
        if isinstance(op, Pad) and kind is not None and kind.layout is not None:
            op = Pad((*op.pads, (0, 0)), op.mode, op.value)
        MOVES[op.kind](op, boxes)
        return boxes.emitted(self.isa)
