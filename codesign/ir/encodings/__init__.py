"""The encodings that come with codesign, by kind."""

from codesign.ir.encoding import Encoding
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.tiled import Tiled

ENCODINGS: dict[str, type[Encoding]] = {cls.kind: cls for cls in (Int, Tiled)}
