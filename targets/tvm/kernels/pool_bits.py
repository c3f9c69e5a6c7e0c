"""The maximum of packed codes over windows, on whole words: comparisons plane by plane."""

from math import prod

from tvm import tirx

from codesign.targets.tvm.kernels import bits
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.window import row_taps, windows
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load

WORD = bits.WORD // 8  # bytes


def emit(name: str, shape: ConvShape, planes: int) -> PrimFunc:
    """x and y uint8 as `bits` has them; taps outside the input count for nothing."""
    f, words = Function(name), bits.channels(shape.ic) // bits.WORD
    x = f.argument("x", bits.activation(shape.n, planes, shape.ic, shape.spatial), "uint8")
    out = f.argument("y", bits.activation(shape.n, planes, shape.ic, shape.out_spatial), "uint8")
    axes, spatial = windows(shape), shape.out_spatial
    with f.parallel(shape.n * prod(spatial), "pixel") as pixel, f.serial(words, "word") as word:
        n = pixel // prod(spatial)
        at = [pixel // prod(spatial[i + 1 :]) % extent for i, extent in enumerate(spatial)]
        most = [f.local("most", (WORD,), "uint8") for _ in range(planes)]
        for register in most:
            f.store(register, tirx.Broadcast(tirx.const(0, "uint8"), WORD), (0,), WORD)

        def taps(axis: int, place: tuple[Expr, ...]) -> None:
            if axis == len(axes):
                new = [load(x, (n, p, *place, word * WORD), WORD) for p in range(planes)]
                _greater(f, most, new)
                return
            v, y = axes[axis], at[axis]
            first, count = row_taps(v, y)
            with f.serial(count, "tap") as tap:
                row = y * v.stride - v.before + (first + tap) * v.dilation
                taps(axis + 1, (*place, row))

        taps(0, ())
        for p, register in enumerate(most):
            f.store(out, load(register, (0,), WORD), (n, p, *at, word * WORD), WORD)
    return f.build()


def _greater(f: Function, most: list[Buffer], new: list[Expr]) -> None:
    """Replace the codes in `most` that `new` exceed; planes from the lowest bit up."""
    kind, ones = f"uint8x{WORD}", tirx.Broadcast(tirx.const(255, "uint8"), WORD)
    old = [f.let(load(register, (0,), WORD), "old", kind) for register in most]
    new = [f.let(word, "new", kind) for word in new]
    same, above = ones, tirx.Broadcast(tirx.const(0, "uint8"), WORD)
    for a, b in zip(reversed(new), reversed(old), strict=True):
        above = f.let(above | (same & a & (b ^ ones)), "above", kind)
        same = f.let(same & (a ^ b ^ ones), "same", kind)
    for register, a, b in zip(most, new, old, strict=True):
        f.store(register, b ^ ((a ^ b) & above), (0,), WORD)
