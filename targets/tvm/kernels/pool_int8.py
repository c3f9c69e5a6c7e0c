"""8-bit pooling on channels-last codes: maximum, and the sum behind averages.

The average of a window is its sum of (q - zero_point), 32 bits, through an epilogue whose
multiplier holds 1 / count. Global pooling is a window as large as the input.
"""

from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_layout import LANES, Image, Plane
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.tir import Expr, Function, PrimFunc, load, zeros

_LOWEST = {"uint8": 0, "int8": -128}


@dataclass(frozen=True)
class Point:
    """Channels that are reduced together."""

    lanes: int


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """Vectors of 64, 32 and 16 channels, as far as there are so many."""
    depth = layout.channels(shape.ic)
    return [Point(lanes) for lanes in (64, 32, LANES) if lanes <= depth]


def default(shape: ConvShape, isa: Isa) -> Point:
    """The longest vectors."""
    return space(shape, isa)[0]


def _plane(shape: ConvShape) -> Plane:
    same = shape.ic == shape.oc == shape.groups
    require(same, "pool_int8", shape, "as many groups as input and output channels")
    return layout.plane(shape, "pool_int8")


def emit_max(
    name: str, shape: ConvShape, isa: Isa, point: Point, element: str = "uint8"
) -> PrimFunc:
    """input [N, 1, spatial, C'] of dtype `element`, output. Padding never wins."""
    p = _plane(shape)
    f = Function(name)
    source = layout.argument(f, "x", layout.activation(p.n, p.ic, shape.spatial), element)
    out = layout.argument(f, "y", layout.activation(p.n, p.ic, shape.out_spatial), element)
    depth, lanes = layout.channels(p.ic), point.lanes
    image = layout.padded(f, source, p, depth, _LOWEST[element], element)
    with f.parallel(p.n * p.oh, "row") as row, f.serial(p.ow, "x") as x:
        n, y = row // p.oh, row % p.oh
        with f.serial(-(-depth // lanes), "block") as block:
            c = f.let(tirx.min(block * lanes, depth - lanes))
            value = None
            for ky in range(p.kh):
                for kx in range(p.kw):
                    code = _window(p, image, (n, y, x), (ky, kx), c, lanes)
                    best = code if value is None else tirx.max(value, code)
                    value = f.let(best, "best", f"{element}x{lanes}")
            f.store(out.buffer, value, out.at(n, y, x, c), lanes)
    return f.build()


def emit(
    name: str, shape: ConvShape, isa: Isa, point: Point, epilogue: Epilogue, zero_point: int = 0
) -> PrimFunc:
    """Sums: input u8 [N, 1, spatial, C'], operands, output. Padding counts as `zero_point`."""
    p = _plane(shape)
    f = Function(name)
    source = layout.argument(f, "x", layout.activation(p.n, p.ic, shape.spatial), "uint8")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out_shape = layout.activation(p.n, p.ic, shape.out_spatial)
    out = layout.argument(f, "y", out_shape, epilogue.out_dtype)
    depth = layout.channels(p.ic)
    image = layout.padded(f, source, p, depth, zero_point, "uint8")
    start = tirx.const(-zero_point * p.kh * p.kw, "int32")
    blocks = depth // LANES
    with f.parallel(p.n * p.oh * blocks, "task") as task, f.serial(p.ow, "x") as x:
        n, y = task // (p.oh * blocks), task // blocks % p.oh
        c = task % blocks * LANES
        acc = f.local("acc", (LANES,), "int32")
        f.store(acc, zeros(LANES, "int32") + tirx.Broadcast(start, LANES), (0,), LANES)
        with f.serial(p.kh, "ky") as ky, f.serial(p.kw, "kx") as kx:
            code = _window(p, image, (n, y, x), (ky, kx), c, LANES)
            total = load(acc, (0,), LANES) + tirx.Cast(f"int32x{LANES}", code)
            f.store(acc, total, (0,), LANES)
        layout.finish(f, epilogue, acc, out, out.at(n, y, x, c), operands)
    return f.build()


def _window(
    p: Plane,
    image: Image,
    pixel: tuple[Expr, Expr, Expr],
    tap: tuple[Expr, Expr],
    channel: Expr,
    lanes: int,
) -> Expr:
    n, y, x = pixel
    row, column = y * p.sh + tap[0] * p.dh, x * p.sw + tap[1] * p.dw
    return load(image.buffer, image.at(n, row, column, channel), lanes)
