"""Transposed convolution whose kernel is its stride, on the blocked layout: no overlap.

Input [N, ceil(IC/b), H, W, b], output [N, ceil(OC/b), kh H, kw W, b], float32, b = shape.block.
Every input pixel makes its own kh x kw square of the output, so it is a pointwise convolution
with kh * kw times the output channels, stored as squares.
"""

from dataclasses import replace
from math import prod

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
    """Whether the shape is a 2d transposed convolution of one group with kernel = stride."""
    return (
        shape.transposed
        and len(shape.spatial) == 2
        and shape.groups == 1
        and shape.kernel == shape.strides
        and not any(map(any, shape.pads))
        and not any(shape.output_pads)
        and set(shape.dilations) == {1}
    )


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Every schedule that fits the registers of `isa`; `rows` counts flat input pixels."""
    return schedule.space(_pointwise(shape), isa, shape.block)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The schedule that the cost model in `schedule` likes best."""
    return schedule.best(_pointwise(shape), isa, shape.block)


def emit(name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are input, packed weight, the epilogue's operands, output."""
    require(accepts(shape), "conv_upsample", shape, "a kernel equal to its stride, no padding")
    up = (shape.kernel[0], shape.kernel[1])
    layout = Layout(shape.block, shape.blocked_input, shape.blocked_output, shape.spatial[1], up)
    return emit_tiles(name, _pointwise(shape), layout, point, epilogue)


def pack_weight(
    w: NDArray[np.float32], shape: ConvShape, isa: Isa, point: Point
) -> NDArray[np.float32]:
    """Pack [IC, OC, kh, kw]: [tiles of (kh, kw, OC) blocks, IC blocks, 1, 1, b, blocks * b]."""
    padded = np.zeros((shape.ic, shape.oc_blocks * shape.block, *shape.kernel), np.float32)
    padded[:, : shape.oc] = w
    rows = padded.transpose(2, 3, 1, 0).reshape(-1, shape.ic, 1, 1)
    return pack(rows, _pointwise(shape), shape.block, point)


def _pointwise(shape: ConvShape) -> ConvShape:
    """The same multiplications as a 1x1 convolution over flat pixels."""
    return replace(
        shape,
        oc=prod(shape.kernel) * shape.oc_blocks * shape.block,
        spatial=(prod(shape.spatial), 1),
        kernel=(1, 1),
        strides=(1, 1),
        transposed=False,
        output_pads=(),
    )
