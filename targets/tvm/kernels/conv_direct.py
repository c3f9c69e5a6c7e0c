"""Direct k x k convolution on the blocked layout: any stride, dilation, padding; block groups.

Input [N, ceil(IC/b), H, W, b], output [N, ceil(OC/b), OH, OW, b], float32, b = shape.block.
Method: Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD
Architectures" (2018).
"""

import numpy as np
from numpy.typing import NDArray

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import schedule
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.tiled import Layout, Point, emit_tiles, pack
from codesign.targets.tvm.tir import PrimFunc

__all__ = ["Point", "accepts", "default", "emit", "pack_weight", "space"]


def accepts(shape: ConvShape) -> bool:
    """Whether the shape is a 2d convolution whose groups, if any, are whole channel blocks."""
    whole = shape.groups == 1 or not (shape.group_ic % shape.block or shape.group_oc % shape.block)
    return len(shape.spatial) == 2 and not shape.transposed and whole


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every schedule that fits the registers of `isa`."""
    return schedule.space(shape, isa, shape.block)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The schedule that the cost model in `schedule` likes best."""
    return schedule.best(shape, isa, shape.block)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_direct", shape, "2 axes and groups of whole channel blocks")
    layout = Layout(shape.block, shape.blocked_input, shape.blocked_output)
    return emit_tiles(name, shape, layout, point, epilogue)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [OC, IC/groups, kh, kw]: [OC tiles, IC blocks, kh, kw, b, blocks * b]."""
    return pack(w, shape, shape.block, point)
