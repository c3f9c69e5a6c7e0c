"""Codes of few bits to packed words and back."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, refuse_chain
from codesign.targets.tvm.cost import roofline
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.epilogue import Epilogue, Operand
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import pack_bits, pack_codes, pool_bits
from codesign.targets.tvm.patterns.bits import loose, wanted, words
from codesign.targets.tvm.patterns.int8 import window_shape
from codesign.targets.tvm.storage import physical_dtype, physical_shape

UNPACKED = 1.0  # GB/s of a thread that takes bits apart, one after the other


class PackBits(CpuKernel):
    """Rounds to codes of few bits and packs them."""

    name: ClassVar[str] = "pack-bits"
    anchors: ClassVar[frozenset[str]] = frozenset({"encode"})
    rate: ClassVar[float] = 9.5

    def refuse(self, group: Group) -> Refusal | None:
        x, y = group.input_type(0), group.output_type
        if len(group.nodes) > 1 or not wanted(group, group.outputs[0]) or not y.size:
            return Refusal(
                "it packs codes of few bits that a layer reads so", f"%{group.name}: {y}"
            )
        if x is None or not group.variables or x.shape != y.shape:
            return Refusal("it packs what is computed at run time", f"%{group.name} is constant")
        return refuse_chain(group, with_anchor=True)

    def layouts(self, group: Group) -> Layouts | None:
        kind = group.output_type
        return {group.variables[0]: loose(kind), group.outputs[0]: words(kind)}

    def emit(self, group: Group, point: Point) -> Emitted:
        kind = group.output_type
        if (levels := _levels(group)) is not None:
            return _compared(kind, levels, self.isa, group)
        chain = Chain(_unpacked(group))
        epilogue = chain.epilogue(None)
        return _packing(kind, epilogue, tuple(chain.arguments), group.outputs[0])


def _levels(group: Group) -> tuple[int, ...] | None:
    """The least bytes that get each code above 0, if the group makes codes of bytes; else None."""
    x, y = group.input_type(0), group.output_type
    source, out = None if x is None else x.integer, y.grid
    if (
        source is None
        or out is None
        or source.signed
        or source.width > 8
        or source.axis is not None
    ):
        return None
    bytes_ = np.arange(1 << source.width)
    values = source.decode({"values": bytes_}, bytes_.shape)
    found = out.encode(values)["values"]
    return tuple(int((found < code).sum()) for code in range(1, 1 << out.code_bits))


def _compared(kind: TensorType, levels: tuple[int, ...], isa: Isa, group: Group) -> Emitted:
    axis = 1 if kind.rank > 2 else kind.rank - 1
    walked = tuple(extent for i, extent in enumerate(kind.shape) if i != axis)
    tiled = loose(kind) is not None
    return Emitted(
        lambda name: pack_codes.emit(name, walked, axis, kind.shape[axis], levels, isa, tiled),
        (group.variables[0], group.outputs[0]),
    )


def _unpacked(group: Group) -> Group:
    """`group` as if its result took a byte for each channel."""
    value = group.outputs[0]
    kind = group.type(value).without("layout")
    layout = loose(kind)
    kind = kind if layout is None else kind.with_encoding(layout)
    return Group(group.graph.with_types({value: kind}), group.nodes)


def _packing(kind: TensorType, epilogue: Any, arguments: tuple[Any, ...], out: str) -> Emitted:
    axis = 1 if kind.rank > 2 else kind.rank - 1
    walked = tuple(extent for i, extent in enumerate(kind.shape) if i != axis)
    planes = kind.grid.code_bits if kind.grid else 0
    tiled = loose(kind) is not None
    if not tiled:
        inner = epilogue.apply

        def apply(acc: Any, index: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
            return inner(acc, (*index[:axis], index[-1]), buffers)

        epilogue = replace(epilogue, apply=apply)
    return Emitted(
        lambda name: pack_bits.emit_pack(name, walked, kind.shape[axis], planes, axis, epilogue),
        (*arguments, out),
    )


class MaxPoolBits(CpuKernel):
    """Maximum of packed codes over windows."""

    name: ClassVar[str] = "max-pool-bits"
    anchors: ClassVar[frozenset[str]] = frozenset({"max_pool"})
    rate: ClassVar[float] = 9.5

    def refuse(self, group: Group) -> Refusal | None:
        x, y = group.input_type(0), group.output_type
        assert x is not None
        if words(x) is None or x.grid != y.grid or not wanted(group, group.outputs[0]):
            return Refusal("it takes and gives packed codes", f"{x} becomes {y}")
        if len(group.nodes) > 1 or len(group.outputs) > 1 or x.rank < 3 or not y.size:
            return Refusal("it makes one result over one or two axes", f"%{group.name} does more")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: words(group.type(v)) for v in (*group.variables, *group.outputs)}

    def emit(self, group: Group, point: Point) -> Emitted:
        shape, form = window_shape(group), group.output_type.grid
        planes = form.code_bits if form else 0
        return Emitted(
            lambda name: pool_bits.emit(name, shape, planes), (*group.variables, *group.outputs)
        )


class Repack(CpuKernel):
    """A copy of codes of few bits into packed words, or out of them."""

    name: ClassVar[str] = "repack"
    anchors: ClassVar[frozenset[str]] = frozenset({"relayout"})

    def refuse(self, group: Group) -> Refusal | None:
        layouts = [group.type(v).layout for v in (*group.variables, *group.outputs)]
        packed = [layout is not None and layout.packed for layout in layouts]
        if len(group.nodes) > 1 or packed not in ([True, False], [False, True]):
            return Refusal("it packs or unpacks", "both sides are alike")
        return None

    def layouts(self, group: Group) -> Layouts | None:
        return {v: group.type(v).layout for v in (*group.variables, *group.outputs)}

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Bits one after the other."""
        return roofline(self.machine, self.isa, self.name, group, self.efficiency, UNPACKED)

    def emit(self, group: Group, point: Point) -> Emitted:
        x, kind = group.type(group.operands[0]), group.output_type
        if kind.layout is not None and kind.layout.packed:
            return self._pack(group, x, kind)
        planes = kind.grid.code_bits if kind.grid else 0
        return Emitted(
            lambda name: pack_bits.emit_unpack(
                name, physical_shape(kind), physical_shape(x), planes, physical_dtype(kind),
                lambda index: _place(kind, index),
            ),
            (group.operands[0], group.outputs[0]),
        )  # fmt: skip

    def _pack(self, group: Group, x: TensorType, kind: TensorType) -> Emitted:
        from codesign.targets.tvm.tir import load

        shape, axis = physical_shape(x), 1 if kind.rank > 2 else kind.rank - 1
        plain = x.layout is None

        def apply(acc: Any, index: tuple[Any, ...], buffers: tuple[Any, ...]) -> Any:
            channel, outer = index[-1], list(index[:-1])
            if plain:
                outer[axis] = channel
                return load(buffers[0], outer)
            tile = x.layout.tile if x.layout else 1
            outer[axis] = channel // tile
            return load(buffers[0], (*outer, channel % tile))

        epilogue = Epilogue((Operand("x", shape, physical_dtype(x)),), "int32", apply)
        walked = tuple(extent for i, extent in enumerate(kind.shape) if i != axis)
        planes = kind.grid.code_bits if kind.grid else 0
        return Emitted(
            lambda name: pack_bits.emit_pack(
                name, walked, kind.shape[axis], planes, axis, epilogue
            ),
            (group.operands[0], group.outputs[0]),
        )


def _place(kind: TensorType, index: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Where an element of an unpacked value lies in the packed one, and its channel."""
    from tvm import tirx

    axis, layout = 1 if kind.rank > 2 else kind.rank - 1, kind.layout
    outer, channel = list(index), index[axis] if layout is None else None
    if layout is not None:
        outer = list(index[:-1])
        channel = tirx.min(index[layout.axis] * layout.tile + index[-1], kind.shape[axis] - 1)
    outer[axis] = None
    return tuple(outer), channel
