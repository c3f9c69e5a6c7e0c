"""Which machinery computes an 8-bit reduction: AMX tiles where they pay, else vector tiles."""

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_amx, int8_tile
from codesign.targets.tvm.kernels.int8_layout import Image
from codesign.targets.tvm.kernels.int8_tile import Point, Reduction
from codesign.targets.tvm.tir import Buffer, Function

_FEW_PIXELS = 4  # rows of a tile register below which loading weights costs more than vectors do


def _tiles(r: Reduction, isa: Isa) -> bool:
    return isa.dot == "amx" and int8_amx.pixels(r) >= _FEW_PIXELS


def space(r: Reduction, isa: Isa) -> list[Point]:
    """Points, least estimated time first."""
    return int8_amx.space(r) if _tiles(r, isa) else int8_tile.space(r, isa)


def pack(
    r: Reduction, isa: Isa, weight: npt.NDArray[np.int8], point: Point
) -> npt.NDArray[np.signedinteger]:
    """[O, I, kh, kw] in the order in which the kernel reads it."""
    return int8_amx.chunks(r).pack(weight, point) if _tiles(r, isa) else r.pack(weight, point)


def declare(f: Function, r: Reduction, isa: Isa, point: Point) -> Buffer:
    """Declare the packed weight as the next parameter."""
    packed = int8_amx.chunks(r).packed(point) if _tiles(r, isa) else r.packed(point)
    return f.argument("w", packed, r.dot.weight)


def kernel(
    f: Function,
    r: Reduction,
    isa: Isa,
    point: Point,
    image: Image,
    weight: Buffer,
    out: Image,
    epilogue: Epilogue,
    operands: tuple[Buffer, ...],
) -> int8_tile.Kernel | int8_amx.Kernel:
    """The loops: `emit` appends all of them over threads, `walk` those of some rows."""
    made = int8_amx.Kernel if _tiles(r, isa) else int8_tile.Kernel
    return made(f, r, point, image, weight, out, epilogue, operands)
