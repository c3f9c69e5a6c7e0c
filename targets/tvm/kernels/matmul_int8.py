"""8-bit linear layers: [M, K] u8 or s8 activations times [N, K] s8 weights, transposed.

The pointwise convolution of one long row of M pixels. Activations lie as [M, K'], the result as
[M, N'], K' and N' being K and N rounded up to 16.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_engine as engine
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels import int8_tile as tile
from codesign.targets.tvm.kernels.int8_layout import Plane
from codesign.targets.tvm.kernels.int8_tile import Point
from codesign.targets.tvm.tir import Function, PrimFunc

__all__ = ["MatmulShape", "Point", "default", "emit", "pack_weight", "space"]


@dataclass(frozen=True)
class MatmulShape:
    """`m` rows of `k` activations, of dtype `element`, uint8 or int8, and `n` results each."""

    m: int
    n: int
    k: int
    element: str = "uint8"

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.n * self.k


def space(shape: MatmulShape, isa: Isa) -> list[Point]:
    """Points that fit the registers, least estimated time first."""
    return engine.space(_reduction(shape, isa), isa)


def default(shape: MatmulShape, isa: Isa) -> Point:
    """The point of least estimated time."""
    return space(shape, isa)[0]


def pack_weight(
    weight: npt.NDArray[np.int8], shape: MatmulShape, isa: Isa, point: Point
) -> npt.NDArray[np.signedinteger]:
    """[N, K] as [channel tile, step, block, channel x depth], see `int8_engine`."""
    return engine.pack(_reduction(shape, isa), isa, weight, point)


def emit(name: str, shape: MatmulShape, isa: Isa, point: Point, epilogue: Epilogue) -> PrimFunc:
    """input [M, K'], weight as `pack_weight` gives it, operands, output [M, N']."""
    r = _reduction(shape, isa)
    f = Function(name)
    source = layout.argument(f, "x", (shape.m, layout.channels(shape.k)), shape.element)
    weight = engine.declare(f, r, isa, point)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out_shape = (shape.m, layout.channels(shape.n))
    out = layout.argument(f, "y", out_shape, epilogue.out_dtype)
    image = layout.padded(f, source, r.p, r.channels, 0, r.dot.element)
    engine.kernel(f, r, isa, point, image, weight, out, epilogue, operands).emit()
    return f.build()


def _reduction(shape: MatmulShape, isa: Isa) -> tile.Reduction:
    row = Plane(1, shape.k, shape.n, 1, shape.m, *(1,) * 6, 0, 0, 1, shape.m)
    return tile.reduction(row, isa, shape.element)
