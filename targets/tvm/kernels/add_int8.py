"""8-bit element-wise kernels: one activation goes through an epilogue.

With the epilogue of `requantize` and a residual this is the addition of two quantized tensors,
with neither it is the change of a tensor's scale and zero point: the accumulator is the code.
"""

from dataclasses import dataclass
from math import prod

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_layout import LANES
from codesign.targets.tvm.tir import Function, PrimFunc, load


@dataclass(frozen=True)
class ElementShape:
    """A tensor [n, c, spatial...] of codes of dtype `element`, uint8 or int8."""

    n: int
    c: int
    spatial: tuple[int, ...]
    element: str = "uint8"

    @property
    def physical(self) -> tuple[int, ...]:
        """Physical shape, channels last."""
        return layout.activation(self.n, self.c, self.spatial)


@dataclass(frozen=True)
class Point:
    """Pixels a task."""

    pixels: int


def space(shape: ElementShape, isa: Isa) -> list[Point]:
    """Tasks of about 64 KiB first, then smaller and larger ones."""
    pixels = shape.n * prod(shape.spatial)
    depth = layout.channels(shape.c)
    sizes = [max(1, min(pixels, kib * 1024 // depth)) for kib in (64, 16, 256)]
    return [Point(size) for size in dict.fromkeys(sizes)]


def default(shape: ElementShape, isa: Isa) -> Point:
    """Tasks of about 64 KiB."""
    return space(shape, isa)[0]


def emit(name: str, shape: ElementShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """input [N, 1, spatial, C'] , operands, output of the same physical shape."""
    f = Function(name)
    x = f.argument("x", shape.physical, shape.element)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = layout.argument(f, "y", shape.physical, epilogue.out_dtype)
    pixels, depth = shape.n * prod(shape.spatial), layout.channels(shape.c)
    outer = (0,) * (len(shape.physical) - 2)
    with f.parallel(-(-pixels // point.pixels), "task") as task:
        first = task * point.pixels
        count = tirx.min(pixels - first, point.pixels)
        with f.serial(count, "pixel") as pixel, f.serial(depth // LANES, "block") as block:
            index = (*outer, first + pixel, block * LANES)
            codes = load(x, index, LANES)
            acc = f.local("acc", (LANES,), "int32")
            f.store(acc, tirx.Cast(f"int32x{LANES}", codes), (0,), LANES)
            layout.finish(f, epilogue, acc, out, index, operands)
    return f.build()
