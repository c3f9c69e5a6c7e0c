"""8-bit convolution of an image with few channels, as it comes: u8 codes [N, C, spatial...].

The image is copied into padded rows of interleaved channels, C bytes a pixel; a kernel row of
KW x C bytes is then walked in whole words, so that nothing is spent on padding channels.
"""

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_engine as engine
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels import int8_tile as tile
from codesign.targets.tvm.kernels.int8_dot import dot_of
from codesign.targets.tvm.kernels.int8_layout import LANES, Image
from codesign.targets.tvm.kernels.int8_tile import Point
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load

__all__ = ["Point", "default", "emit", "pack_weight", "space"]

MOST_CHANNELS = 4
_SLACK = 64  # elements behind the last row that a word may reach into


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Points that fit the registers, least estimated time first."""
    return engine.space(_reduction(shape, isa), isa)


def default(shape: ConvShape, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(shape, isa)[0]


def pack_weight(
    weight: npt.NDArray[np.int8], shape: ConvShape, isa: Isa, point: Point
) -> npt.NDArray[np.signedinteger]:
    """[O, I, k...] as [channel tile, step, block, channel x depth], see `int8_engine`."""
    return engine.pack(_reduction(shape, isa), isa, weight, point)


def emit(
    name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue, zero_point: int = 0
) -> PrimFunc:
    """input u8 [N, C, spatial], weight as `pack_weight` gives it, operands, output as elsewhere.

    Taps outside the input read `zero_point`.
    """
    r = _reduction(shape, isa)
    f = Function(name)
    source = f.argument("x", shape.plain_input, "uint8")
    weight = engine.declare(f, r, isa, point)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out_shape = layout.activation(shape.n, shape.oc, shape.out_spatial)
    out = layout.argument(f, "y", out_shape, epilogue.out_dtype)
    image = _interleaved(f, r, source, zero_point)
    engine.kernel(f, r, isa, point, image, weight, out, epilogue, operands).emit()
    return f.build()


def _reduction(shape: ConvShape, isa: Isa) -> tile.Reduction:
    require(shape.groups == 1, "stem_int8", shape, "one group")
    require(shape.ic <= MOST_CHANNELS, "stem_int8", shape, f"at most {MOST_CHANNELS} channels")
    p = layout.plane(shape, "stem_int8")
    require(p.dw == 1, "stem_int8", shape, "a dilation of 1 along the last axis")
    return tile.Reduction(p, dot_of(isa), p.ic, p.ic, merged=True)


def _interleaved(f: Function, r: tile.Reduction, source: Buffer, zero: int) -> Image:
    """The padded copy: rows of pw * C elements."""
    p, dtype = r.p, r.dot.element
    size = p.n * p.ph * p.pw * p.ic
    image = Image(
        f.scratch("image", (size + _SLACK,), dtype), (p.n, 1, p.ph, p.pw, p.ic), dtype, True
    )
    rows, columns = min(p.h, p.ph - p.top), min(p.w, p.pw - p.left)
    fill = tirx.const(zero, dtype)
    with f.serial(_SLACK, "i") as i:
        f.store(image.buffer, fill, (size + i,))
    with f.serial(p.n, "n") as n:
        _fill(f, image, (n, 0), 0, p.top * p.pw, fill)
        _fill(f, image, (n, p.top + rows), 0, (p.ph - p.top - rows) * p.pw, fill)
    with f.parallel(p.n * rows, "row") as row:
        n, y = row // rows, row % rows
        _fill(f, image, (n, p.top + y), 0, p.left, fill)
        _copy(f, image, source, (n, p.top + y, y), p.left, columns)
        _fill(f, image, (n, p.top + y), p.left + columns, p.pw - p.left - columns, fill)
    return image


def _fill(
    f: Function, image: Image, row: tuple[Expr, Expr], first: int, count: int, value: Expr
) -> None:
    if count > 0:
        with f.serial(count * image.shape[-1], "i") as i:
            f.store(image.buffer, value, image.at(*row, first, i))


def _copy(
    f: Function, image: Image, source: Buffer, row: tuple[Expr, Expr, Expr], first: int, count: int
) -> None:
    """Interleave `count` pixels of a row, 16 at a time; the last 16 overlap."""
    depth = image.shape[-1]
    n, to, y = row
    lanes = LANES if count >= LANES else 1
    line = (y,) if len(source.shape) == 4 else ()
    with f.serial(-(-count // lanes), "i") as i:
        x = f.let(tirx.min(i * lanes, count - lanes))
        planes = [load(source, (n, c, *line, x), lanes) for c in range(depth)]
        order = [c * lanes + pixel for pixel in range(lanes) for c in range(depth)]
        pixels = tirx.Shuffle(planes, order) if depth > 1 else planes[0]
        if image.dtype != "uint8":
            pixels = tirx.Cast(_vector(image.dtype, lanes * depth), pixels)
        f.store(image.buffer, pixels, image.at(n, to, first + x, 0), lanes * depth)


def _vector(dtype: str, lanes: int) -> str:
    return f"{dtype}x{lanes}" if lanes > 1 else dtype
