"""The encodings that come with codesign, by kind."""

from codesign.ir.encoding import Encoding
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.bitmap import Bitmap
from codesign.ir.encodings.block import Block
from codesign.ir.encodings.codebook import Codebook
from codesign.ir.encodings.csr import Csr
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.minifloat import Minifloat
from codesign.ir.encodings.nm import NM
from codesign.ir.encodings.pow2 import Pow2
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.encodings.tt import TT

__all__ = [
    "ENCODINGS",
    "NM",
    "TT",
    "Binary",
    "Bitmap",
    "Block",
    "Codebook",
    "Csr",
    "Int",
    "Minifloat",
    "Pow2",
    "Ternary",
    "Tiled",
]

ENCODINGS: dict[str, type[Encoding]] = {
    cls.kind: cls
    for cls in (
        Binary,
        Bitmap,
        Block,
        Codebook,
        Csr,
        Int,
        Minifloat,
        NM,
        Pow2,
        Ternary,
        Tiled,
        TT,
    )
}
