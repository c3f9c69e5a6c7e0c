"""Random encodings that fit a shape."""

from math import prod
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from codesign.ir.const import Const
from codesign.ir.encoding import Encoding, Encodings, Shape, Structure
from codesign.ir.encodings import (
    NM,
    TT,
    Binary,
    Bitmap,
    Block,
    Codebook,
    Csr,
    Int,
    Minifloat,
    Pow2,
    Ternary,
    Tiled,
)
from codesign.ir.encodings.sparse import view

SHAPES = st.lists(st.integers(0, 6), min_size=0, max_size=4).map(tuple)
SCALES = st.floats(2.0**-20, 2.0**20, width=32)


@st.composite
def axes(draw: st.DrawFn, shape: Shape) -> int | None:
    """An axis of `shape` or None."""
    axis: int | None = draw(st.sampled_from([None, *range(len(shape))]))
    return axis


@st.composite
def vectors(draw: st.DrawFn, axis: int | None, shape: Shape) -> Const:
    """A scale, or one for each slice along `axis`."""
    if axis is None:
        return Const(draw(SCALES), "float32")
    count = shape[axis]
    return Const(draw(st.lists(SCALES, min_size=count, max_size=count)), "float32")


@st.composite
def ints(draw: st.DrawFn, shape: Shape) -> Int:
    """Affine integers."""
    axis, width, signed = draw(axes(shape)), draw(st.integers(1, 16)), draw(st.booleans())
    plain = Int(width, signed=signed)
    zero = Const(draw(st.sampled_from([0, plain.low, plain.high])), "int32")
    return Int(width, draw(vectors(axis, shape)), zero, signed, axis)


@st.composite
def minifloats(draw: st.DrawFn, shape: Shape) -> Minifloat:
    """Minifloats of every legal size."""
    exponent, axis = draw(st.integers(2, 8)), draw(axes(shape))
    mantissa = draw(st.integers(0, min(10, 15 - exponent)))
    special: Literal["none", "nan", "inf"] = draw(st.sampled_from(["none", "nan", "inf"]))
    return Minifloat(exponent, mantissa, special, draw(vectors(axis, shape)), axis)


@st.composite
def ternaries(draw: st.DrawFn, shape: Shape) -> Ternary:
    """Ternary values with a threshold at a share of the scale."""
    axis = draw(axes(shape))
    scale = draw(vectors(axis, shape))
    share = draw(st.sampled_from([0.0, 0.25, 0.5]))
    return Ternary(scale, Const(scale.array * np.float32(share)), axis)


@st.composite
def codebooks(draw: st.DrawFn) -> Codebook:
    """Tables of 2 to 20 values, some with 0 first, some with repeated values."""
    values = draw(st.lists(st.floats(-8, 8, width=16), min_size=1, max_size=19))
    return Codebook(Const([draw(st.sampled_from([0.0, 0.5])), *values], "float32"))


@st.composite
def pow2s(draw: st.DrawFn) -> Pow2:
    """Exponent ranges with and without zero and sign."""
    low = draw(st.integers(-126, 127))
    high = draw(st.integers(low, 127))
    return Pow2(low, high, draw(st.booleans()), draw(st.booleans()))


@st.composite
def binaries(draw: st.DrawFn, shape: Shape) -> Binary:
    """Signs."""
    axis = draw(axes(shape))
    return Binary(draw(vectors(axis, shape)), axis)


def elements(shape: Shape) -> st.SearchStrategy[Encoding]:
    """Any element encoding of a tensor of `shape`."""
    return st.one_of(
        ints(shape), minifloats(shape), ternaries(shape), codebooks(), pow2s(), binaries(shape)
    )


@st.composite
def structures(draw: st.DrawFn, shape: Shape) -> Structure:
    """Any structure of a tensor of `shape`."""
    count = st.integers(0, prod(shape))
    kinds: list[Structure] = [Csr(draw(count), draw(st.integers(5, 32))), Bitmap(draw(count))]
    if len(shape) == 1 or view(shape)[1] > 32:
        kinds = [Bitmap(draw(count)), Csr(draw(count), 16)]
    block = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    blocks = prod(Block(block).grid(shape))
    kinds.append(Block(block, draw(st.integers(0, blocks)), draw(st.integers(10, 32))))
    if shape:
        m = draw(st.integers(1, 9))
        axis = draw(st.integers(0, len(shape) - 1))
        kinds.append(NM(draw(st.integers(1, m)), m, axis))
    return draw(st.sampled_from(kinds))


@st.composite
def factors(draw: st.DrawFn, shape: Shape) -> TT:
    """A tensor train of a tensor of nonempty `shape`: one mode, or one for each axis."""
    if len(shape) < 2 or not draw(st.booleans()):
        return TT((view(shape),))
    modes = ((shape[0], 1), *((1, extent) for extent in shape[1:]))
    ranks: list[int] = []
    for i in range(len(shape) - 1):
        after = int(np.prod(shape[i + 1 :]))
        bound = min((ranks[-1] if ranks else 1) * shape[i], after)
        ranks.append(draw(st.integers(1, bound)))
    return TT(modes, tuple(ranks))


@st.composite
def encodings(draw: st.DrawFn, shape: Shape) -> Encodings:
    """Any legal nest for a tensor of `shape`."""
    outer = draw(st.sampled_from(["layout", "factors", "structure", "none", "both"]))
    found: list[Encoding] = []
    if outer == "layout" and shape:
        found.append(Tiled(draw(st.integers(0, len(shape) - 1)), draw(st.integers(1, 5))))
    if outer in ("factors", "both") and 0 not in shape:
        found.append(draw(factors(shape)))
        shape = (found[-1].entries(shape),) if isinstance(found[-1], TT) else shape
    if outer in ("structure", "both"):
        found.append(draw(structures(shape)))
    if draw(st.booleans()):
        element = draw(elements(shape))
        if element.zero_is_zero or outer not in ("structure", "both"):
            found.append(element)
    return tuple(found)
