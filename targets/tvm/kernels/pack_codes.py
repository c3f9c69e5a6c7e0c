"""Bytes to packed codes of few bits by thresholds: one comparison of bytes a level.

A byte x reaches level t if x + (128 - t), or for larger t x - (t - 128), both saturating, has its
upper bit set. The upper bits of a vector of bytes are one instruction on x86; elsewhere the marks
of eight channels are joined. As levels are nested, bit p of a code is the parity of the levels
reached among every 2^p-th.
"""

from math import prod

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import bits
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.tir import Expr, Function, PrimFunc, llvm, load

LANES = 16  # bytes that are read at once: the physical channels of the input are a multiple
_MASKS = {16: "llvm.x86.sse2.pmovmskb.128", 32: "llvm.x86.avx2.pmovmskb"}


def emit(
    name: str,
    walked: tuple[int, ...],
    axis: int,
    channels: int,
    thresholds: tuple[int, ...],
    isa: Isa,
    tiled: bool,
) -> PrimFunc:
    """x uint8 channels last (`tiled`: with a tile axis of one), y packed: code = levels reached.

    `walked` is the shape without the channels, which lie along `axis`; `thresholds` are 1 to 256.
    """
    f, planes = Function(name), len(thresholds).bit_length()
    width = -(-channels // LANES) * LANES
    one = (1,) if tiled else ()
    x = f.argument("x", (*walked[:axis], *one, *walked[axis:], width), "uint8")
    octets = bits.channels(channels) // 8
    out = f.argument("y", (*walked[:axis], planes, *walked[axis:], octets), "uint8")
    middle = (0,) if tiled else ()
    with f.parallel(prod(walked), "pixel") as pixel:
        at = unravel(pixel, walked)

        def group(start: Expr, lanes: int, used: int) -> None:
            codes = load(x, (*at[:axis], *middle, *at[axis:], start), lanes)
            codes = f.let(codes, "codes", f"uint8x{lanes}")
            levels = [_reached(codes, t, lanes, isa) for t in thresholds]
            for plane in range(planes):
                word = levels[(1 << plane) - 1]
                for k in range(2 << plane, len(levels) + 1, 1 << plane):
                    word = word ^ levels[k - 1]
                if used < lanes:
                    word = word & tirx.const((1 << used) - 1, "int32")
                narrow = word if lanes == 32 else tirx.Cast("uint16", word)
                place = (*at[:axis], plane, *at[axis:], start // 8)
                f.store(out, tirx.reinterpret(f"uint8x{lanes // 8}", narrow), place, lanes // 8)

        lanes = 32 if isa.vector_bits >= 256 and _x86(isa) else LANES
        with f.serial(channels // lanes, "group") as number:
            group(number * lanes, lanes, lanes)
        done = channels // lanes * lanes
        for start in range(done, channels, LANES):
            group(start, LANES, min(LANES, channels - start))
            done = start + LANES
        for plane in range(planes):
            for octet in range(done // 8, octets):
                place = (*at[:axis], plane, *at[axis:], octet)
                f.store(out, tirx.const(0, "uint8"), place)
    return f.build()


def _x86(isa: Isa) -> bool:
    return isa.triple.startswith("x86_64")


def _reached(codes: Expr, threshold: int, lanes: int, isa: Isa) -> Expr:
    """Which of `lanes` bytes are at least `threshold`, a bit each, as int32."""
    up = threshold <= 128
    shift = tirx.const(128 - threshold if up else threshold - 128, "uint8")
    intrinsic = f"llvm.{'uadd' if up else 'usub'}.sat.v{lanes}i8"
    moved = llvm(f"uint8x{lanes}", intrinsic, codes, tirx.Broadcast(shift, lanes))
    if _x86(isa):
        return llvm("int32", _MASKS[lanes], moved)
    marks = [tirx.const(1 << i % 8, "uint8") for i in range(lanes)]
    upper = moved >> tirx.Broadcast(tirx.const(7, "uint8"), lanes)
    signs = upper * tirx.Shuffle(marks, list(range(lanes)))
    word = tirx.const(0, "int32")
    for half in range(lanes // 8):
        part = tirx.Shuffle([signs], list(range(8 * half, 8 * half + 8)))
        octet = llvm("uint8", "llvm.vector.reduce.or.v8i8", part)
        word = word | tirx.Cast("int32", octet) << (8 * half)
    return word
