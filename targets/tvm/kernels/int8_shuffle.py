"""Shuffles of 512-bit vectors that are one instruction each."""

from tvm import tirx

from codesign.targets.tvm.tir import Expr


def lanes(a: Expr, b: Expr, pick: tuple[int, ...]) -> Expr:
    """Four of the eight 128-bit lanes of two int32x16."""
    return tirx.Shuffle([a, b], [4 * lane + i for lane in pick for i in range(4)])


def unpack(a: Expr, b: Expr, width: int, high: int) -> Expr:
    """Interleave elements of `width` bytes of the lower or upper halves of 128-bit lanes."""
    indices = []
    for lane in range(4):
        for element in range(8 // width):
            first = lane * 16 + high * 8 + element * width
            indices += [first + i for i in range(width)]
            indices += [64 + first + i for i in range(width)]
    return tirx.Shuffle([a, b], indices)
