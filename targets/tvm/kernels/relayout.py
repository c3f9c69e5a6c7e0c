"""Copies between the plain and the blocked layout of a tensor."""

from math import prod

from codesign.ir.encodings.tiled import Tiled
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.tir import Function, PrimFunc, load


def emit(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    source: Tiled | None,
    result: Tiled | None,
    isa: Isa,
) -> PrimFunc:
    """out (layout `result`) = x (layout `source`) for a tensor of logical `shape`.

    Elements that pad a last tile are copies of the last channel: finite, and never used.
    """
    from tvm import tirx

    f = Function(name)
    x = f.argument("x", source.physical(shape) if source else shape, dtype)
    physical = result.physical(shape) if result else shape
    out = f.argument("out", physical, dtype)
    walked = physical[:-1]
    with f.parallel(prod(walked), "row") as row:
        outer = unravel(row, walked)
        with f.serial(physical[-1], "i") as i:
            logical = [*outer, i]
            if result is not None:
                channel = outer[result.axis] * result.tile + i
                logical = [*outer[: result.axis], channel, *outer[result.axis + 1 :]]
                if shape[result.axis] % result.tile:
                    logical[result.axis] = tirx.min(channel, shape[result.axis] - 1)
            index = tuple(logical)
            if source is not None:
                channel = index[source.axis]
                index = (
                    *index[: source.axis],
                    channel // source.tile,
                    *index[source.axis + 1 :],
                    channel % source.tile,
                )
            f.store(out, load(x, index), (*outer, i))
    return f.build()
