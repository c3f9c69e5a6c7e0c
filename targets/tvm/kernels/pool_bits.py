"""The maximum of codes of one bit over windows, on packed words: an or."""

from math import prod

from tvm import tirx

from codesign.targets.tvm.kernels import bits
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.window import row_taps, windows
from codesign.targets.tvm.tir import Expr, Function, PrimFunc, load


def emit(name: str, shape: ConvShape) -> PrimFunc:
    """x and y uint8 as `bits` has them; taps outside the input count for nothing."""
    f, octets = Function(name), bits.channels(shape.ic) // 8
    x = f.argument("x", bits.activation(shape.n, 1, shape.ic, shape.spatial), "uint8")
    out = f.argument("y", bits.activation(shape.n, 1, shape.ic, shape.out_spatial), "uint8")
    axes, spatial = windows(shape), shape.out_spatial
    with f.parallel(shape.n * prod(spatial), "pixel") as pixel:
        at = [pixel // prod(spatial)]
        for i, extent in enumerate(spatial):
            at.append(pixel // prod(spatial[i + 1 :]) % extent)
        most = f.local("most", (octets,), "uint8")
        with f.serial(octets // 8, "word") as word:
            f.store(most, tirx.Broadcast(tirx.const(0, "uint8"), 8), (word * 8,), 8)

        def taps(axis: int, place: tuple[Expr, ...]) -> None:
            if axis == len(axes):
                with f.serial(octets // 8, "word") as word:
                    new = load(x, (at[0], 0, *place, word * 8), 8)
                    f.store(most, load(most, (word * 8,), 8) | new, (word * 8,), 8)
                return
            v, y = axes[axis], at[axis + 1]
            first, count = row_taps(v, y)
            with f.serial(count, "tap") as tap:
                row = y * v.stride - v.before + (first + tap) * v.dilation
                taps(axis + 1, (*place, row))

        taps(0, ())
        with f.serial(octets // 8, "word") as word:
            f.store(out, load(most, (word * 8,), 8), (at[0], 0, *at[1:], word * 8), 8)
    return f.build()
