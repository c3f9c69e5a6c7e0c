"""1x1 convolution on the blocked layout: with stride 1 a matrix product over flat pixels.

Input [N, ceil(IC/b), H, W, b], output [N, ceil(OC/b), OH, OW, b], float32, b = shape.block.
With stride 1 and no padding, rows run into each other, so tiles are cut from H * W pixels and
small maps waste no registers; a strided or padded 1x1 is a direct convolution.
"""

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import conv_direct, schedule
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.tiled import Layout, Point, emit_tiles, pack
from codesign.targets.tvm.tir import PrimFunc

__all__ = ["Point", "accepts", "default", "emit", "pack_weight", "space"]


def accepts(shape: ConvShape) -> bool:
    """Whether the shape is a 2d 1x1 convolution whose groups are whole channel blocks."""
    return conv_direct.accepts(shape) and prod(shape.kernel) == 1


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every schedule that fits the registers of `isa`; `rows` counts flat pixels."""
    return schedule.space(_flat(shape), isa, shape.block)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The schedule that the cost model in `schedule` likes best."""
    return schedule.best(_flat(shape), isa, shape.block)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_pointwise", shape, "a 1x1 kernel and groups of whole blocks")
    flat = _flat(shape)
    width = shape.spatial[1] if flat is not shape else 0
    layout = Layout(shape.block, shape.blocked_input, shape.blocked_output, width)
    return emit_tiles(name, flat, layout, point, epilogue)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [OC, IC/groups, 1, 1]: [OC tiles, IC blocks, 1, 1, b, blocks * b]."""
    return pack(w, shape, shape.block, point)


def _flat(shape: ConvShape) -> ConvShape:
    """The same problem with its pixels in one column, where that changes nothing."""
    if set(shape.strides) != {1} or any(map(any, shape.pads)):
        return shape
    return replace(shape, spatial=(prod(shape.spatial), 1))
