"""Packing codes of few bits into words, and unpacking them."""

from collections.abc import Callable
from math import prod
from typing import Any

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.kernels import bits
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, llvm, load, zeros

LANES = 16
Index = tuple[Expr, ...]


def emit_pack(
    name: str, walked: tuple[int, ...], channels: int, planes: int, axis: int, epilogue: Epilogue
) -> PrimFunc:
    """Operands of `epilogue`, then the packed output.

    `walked` is the shape of the result without its channels, which lie along `axis`; `epilogue`
    gives the int32 code of a channel at (..., 0 at `axis`, ..., channel).
    """
    f = Function(name)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    octets = bits.channels(channels) // 8
    shape = (*walked[:axis], planes, *walked[axis:], octets)
    out = f.argument("y", shape, "uint8")
    with f.parallel(prod(walked), "pixel") as pixel:
        at = unravel(pixel, walked)

        def group(start: Expr, count: int) -> None:
            codes = f.local("codes", (LANES,), "int32")
            f.store(codes, zeros(LANES, "int32"), (0,), LANES)
            with f.vectorized(count) as lane:
                index = (*at[:axis], 0, *at[axis:], start + lane)
                code = epilogue.apply(None, index, operands)
                f.store(codes, tirx.Cast("int32", code), (lane,))
            for plane in range(planes):
                word = _gathered(load(codes, (0,), LANES), plane)
                place = (*at[:axis], plane, *at[axis:], start // 8)
                f.store(out, tirx.reinterpret("uint8x2", word), place, 2)

        with f.serial(channels // LANES, "group") as number:
            group(number * LANES, LANES)
        done = channels // LANES * LANES
        if channels % LANES:
            group(done, channels % LANES)
            done += LANES
        for plane in range(planes):
            for octet in range(done // 8, octets):
                zero = tirx.const(0, "uint8")
                f.store(out, zero, (*at[:axis], plane, *at[axis:], octet))
    return f.build()


def _gathered(codes: Expr, plane: int) -> Expr:
    """Bit `plane` of 16 int32 codes as a uint16."""
    one = tirx.Broadcast(tirx.const(1, "int32"), LANES)
    bit = codes >> tirx.Broadcast(tirx.const(plane, "int32"), LANES) & one
    places = tirx.Shuffle([tirx.const(i, "int32") for i in range(LANES)], list(range(LANES)))
    word = llvm("int32", f"llvm.vector.reduce.or.v{LANES}i32", bit << places)
    return tirx.Cast("uint16", word)


def emit_unpack(
    name: str,
    physical: tuple[int, ...],
    packed: tuple[int, ...],
    planes: int,
    dtype: str,
    place: Callable[[Index], tuple[Index, Expr]],
) -> PrimFunc:
    """Packed input of shape `packed`, then the codes [`physical`] as `dtype`, one an element.

    `place` gives the index into the input but for plane and byte, and the channel, of an element.
    """
    f = Function(name)
    x, out = f.argument("x", packed, "uint8"), f.argument("y", physical, dtype)
    with f.parallel(prod(physical[:-1]), "row") as row, f.serial(physical[-1], "i") as i:
        index = (*unravel(row, physical[:-1]), i)
        f.store(out, tirx.Cast(dtype, _code(x, planes, *place(index))), index)
    return f.build()


def _code(x: Buffer, planes: int, at: Index, channel: Expr) -> Any:
    """The code of `channel`, int32; `at` has a gap at the planes, marked by None."""
    code: Any = 0
    for plane in range(planes):
        where = [plane if i is None else i for i in at]
        octet = tirx.Cast("int32", load(x, (*where, channel // 8)))
        code = code + ((octet >> channel % 8 & 1) << plane)
    return code
