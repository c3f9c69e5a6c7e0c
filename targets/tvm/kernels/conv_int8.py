"""8-bit convolution: u8 activations, s8 weights, 32-bit accumulators, any k, stride, pad, dilation.

A register tile of output pixels and channels is accumulated over kernel rows, kernel columns and
input channels (Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD
Architectures", 2018, with channels last). Pointwise convolutions see one long row of pixels.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_engine as engine
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels import int8_tile as tile
from codesign.targets.tvm.kernels.int8_layout import Plane
from codesign.targets.tvm.kernels.int8_tile import Point
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc

__all__ = ["Point", "default", "emit", "pack_weight", "space"]


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Points that fit the registers, least estimated time first."""
    return engine.space(tile.reduction(_flat(shape), isa), isa)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(shape, isa)[0]


def pack_weight(
    weight: npt.NDArray[np.int8], shape: ConvShape, isa: Isa, point: Point
) -> npt.NDArray[np.signedinteger]:
    """[O, I, k...] as [channel tile, step, block, channel x depth], see `int8_engine`."""
    return engine.pack(tile.reduction(_flat(shape), isa), isa, weight, point)


def emit(
    name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue, zero_point: int = 0
) -> PrimFunc:
    """input u8 [N, 1, spatial, C'], weight as `pack_weight` gives it, operands, output.

    C' is C rounded up to 16. Taps outside the input read `zero_point`.
    """
    p = _flat(shape)
    r = tile.reduction(p, isa)
    if p != layout.plane(shape, "conv_int8"):
        epilogue = by_pixels(epilogue, shape.out_spatial[-1])
    f = Function(name)
    source = layout.argument(f, "x", layout.activation(p.n, p.ic, shape.spatial), "uint8")
    weight = engine.declare(f, r, isa, point)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out_shape = layout.activation(p.n, p.oc, shape.out_spatial)
    out = layout.argument(f, "y", out_shape, epilogue.out_dtype)
    image = layout.padded(f, source, p, r.channels, zero_point, r.dot.element)
    engine.kernel(f, r, isa, point, image, weight, out, epilogue, operands).emit()
    return f.build()


def _flat(shape: ConvShape) -> Plane:
    """The plane of `shape`; pointwise ones have one long row."""
    require(shape.groups == 1, "conv_int8", shape, "one group")
    p = layout.plane(shape, "conv_int8")
    return replace(p, h=1, w=p.h * p.w, oh=1, ow=p.h * p.w) if p.pointwise else p


def by_pixels(epilogue: Epilogue, width: int) -> Epilogue:
    """`epilogue` for one long row of pixels, of which `width` are a row of the result.

    Operands that follow rows and columns alike lie as the long row does, and need no division.
    """
    if all(o.varies[2:4] in ((), (0, 0), (1, 1)) for o in epilogue.operands):
        return epilogue

    def apply(acc: Expr, index: tuple[Expr, ...], buffers: tuple[Buffer, ...]) -> Expr:
        n, tile, row, pixel, channel = index
        place = (n, tile, row + pixel // width, pixel % width, channel)
        return epilogue.apply(acc, place, buffers)

    return replace(epilogue, apply=apply, interleaved=None)
