"""The 8-bit dot products of instruction sets, on vectors of 16 sums of four products."""

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.tir import Expr, llvm


def has_wide_dot(isa: Isa) -> bool:
    """Whether one instruction adds four u8 x s8 products to each of 16 sums."""
    return isa.dot in ("vnni", "amx") and isa.vector_bits == 512


def wide_dot(isa: Isa, total: Expr, pixel: Expr, weight: Expr) -> Expr:
    """total int32x16 + sums of four products of uint8x64 `pixel` and int8x64 `weight`."""
    return llvm("int32x16", "llvm.x86.avx512.vpdpbusd.512", total, pixel, weight)
