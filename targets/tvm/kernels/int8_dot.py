"""The 8-bit dot products of instruction sets: how many channels, how deep, of what elements.

One 32-bit word of activations is broadcast and multiplied with one vector of weights: four 8-bit
products a lane where the instructions exist, two 16-bit ones (pmaddwd, exact) on other x86, one on
the rest. Instructions that want the other signedness get codes shifted by 128 (the upper bit
flipped), and accumulators that start from the difference.
"""

from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.tir import Expr, llvm

_FLIP = 0x80808080 - 2**32  # the upper bits of four bytes, as a signed word


@dataclass(frozen=True)
class Dot:
    """One multiply-accumulate of `lanes` sums, `depth` products each, of `element` activations.

    `weight` is the dtype of packed weights. `offset` is what is added to 8-bit codes by flipping
    their upper bit: the result is that much times the sum of the weights too large.
    """

    intrinsic: str
    lanes: int
    depth: int
    element: str
    weight: str
    offset: int = 0

    @property
    def width(self) -> int:
        """Weights of one instruction."""
        return self.lanes * self.depth

    def operand(self, word: Expr) -> Expr:
        """The vector of activations from `depth` consecutive ones."""
        if self.depth == 1:
            return tirx.Broadcast(tirx.Cast("int32", word), self.lanes)
        bits = tirx.reinterpret("int32", word)
        if self.offset:
            bits = bits ^ tirx.const(_FLIP, "int32")
        vector = tirx.Broadcast(bits, self.lanes)
        return tirx.reinterpret(f"{self.operand_dtype}", vector)

    @property
    def operand_dtype(self) -> str:
        """The dtype of the vector of activations."""
        if self.depth == 1:
            return f"int32x{self.lanes}"
        kind = {"uint8": "int8", "int8": "uint8"}[self.element] if self.offset else self.element
        return f"{kind}x{self.width}"

    def add(self, total: Expr, operand: Expr, weight: Expr) -> Expr:
        """`total` plus the products."""
        dtype = f"int32x{self.lanes}"
        if self.depth == 1:
            return total + operand * tirx.Cast(dtype, weight)
        if self.depth == 2:
            return total + llvm(dtype, self.intrinsic, operand, weight)
        return llvm(dtype, self.intrinsic, total, operand, weight)


_MADD = {
    512: "llvm.x86.avx512.pmaddw.d.512",
    256: "llvm.x86.avx2.pmadd.wd",
    128: "llvm.x86.sse2.pmadd.wd",
}


def dot_of(isa: Isa, element: str = "uint8") -> Dot:
    """The best dot product of `isa` for activations of dtype `element`, uint8 or int8."""
    lanes = isa.f32_lanes
    if has_wide_dot(isa):
        offset = 128 if element == "int8" else 0
        return Dot("llvm.x86.avx512.vpdpbusd.512", lanes, 4, element, "int8", offset)
    if isa.dot == "sdot":
        offset = -128 if element == "uint8" else 0
        return Dot("llvm.aarch64.neon.sdot", lanes, 4, element, "int8", offset)
    if isa.triple.startswith("x86_64"):
        return Dot(_MADD[isa.vector_bits], lanes, 2, "int16", "int16")
    return Dot("", lanes, 1, "int16", "int16")


def has_wide_dot(isa: Isa) -> bool:
    """Whether one instruction adds four u8 x s8 products to each of 16 sums."""
    return isa.dot in ("vnni", "amx") and isa.vector_bits == 512


def wide_dot(isa: Isa, total: Expr, pixel: Expr, weight: Expr) -> Expr:
    """total int32x16 + sums of four products of uint8x64 `pixel` and int8x64 `weight`."""
    return dot_of(isa).add(total, pixel, weight)
