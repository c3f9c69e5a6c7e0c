"""How long a sparse kernel takes: counted cycles of its tiles, with rates fitted to measurements.

A column of the weight costs loads of `vectors` of activations and rows * vectors multiply-adds,
whichever takes longer. Vectors that straddle cache lines load at half the rate, and so do those
that come from the second-level cache because a tile of all channels does not fit the first.
"""

from math import hypot

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.sparse import Point, tile
from codesign.targets.tvm.kernels.sparse_frame import Frame, Rows

L1_BYTES = 32 * 1024
LINE = 64
MULTIPLY = 0.7  # cycles of a vector multiply-add
NEAR, FAR, SPLIT = 0.85, 1.6, 0.6  # cycles of a vector load from first and second level; straddling
COLUMN = 1.1  # cycles of a column apart from its vectors
LIST = 12.0  # cycles to begin and end a list
STORE = 2.5  # cycles of a vector stored
SCATTER = 1.5  # cycles of an element stored apart from its neighbours
COPY = 1.0  # cycles of an element of the input's copy


def cycles(frame: Frame, isa: Isa, point: Point, lists: int, columns: int) -> float:
    """Cycles of all tiles of one core, for `lists` of together `columns` weight columns."""
    shape, plane, cut = frame.shape, frame.plane, tile(frame.shape, isa, point.vectors)
    vectors = len(cut.starts)
    aligned = not plane.copied and plane.channel * 4 % LINE == 0
    near = vectors * LINE * shape.ic <= L1_BYTES
    load = (NEAR if near else FAR) + (0 if aligned else SPLIT)
    column = hypot(point.rows * vectors * MULTIPLY, vectors * load) + COLUMN
    stored = point.rows * vectors * STORE
    if isinstance(frame, Rows):
        stored = point.rows * vectors * cut.lanes * SCATTER
    tiles = shape.n * cut.counts[0] * cut.counts[1]
    return tiles * (columns * column + lists * (LIST + stored)) + frame.copied * COPY
