"""Convolution of a plain image with few channels into the blocked layout: a network's first.

Input [N, IC, H, W], output [N, ceil(OC/b), OH, OW, b], float32, b = shape.block.
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
    """Whether the shape is a 2d convolution of one group."""
    return len(shape.spatial) == 2 and not shape.transposed and shape.groups == 1


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every schedule that fits the registers of `isa`."""
    return schedule.space(shape, isa, 1)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The schedule that the cost model in `schedule` likes best."""
    return schedule.best(shape, isa, 1)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_stem", shape, "2 axes and one group")
    layout = Layout(1, shape.plain_input, shape.blocked_output)
    return emit_tiles(name, shape, layout, point, epilogue)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [OC, IC, kh, kw]: [OC tiles, IC, kh, kw, 1, blocks * b]."""
    return pack(w, shape, 1, point)
