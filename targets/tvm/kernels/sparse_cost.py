"""How long a sparse kernel takes: counted cycles of its tiles, with rates fitted to measurements.

A column of the weight costs a multiply-add for each of `vectors` of activations, which come from
the first or the second level of the cache, and almost as many again where they straddle lines.
Further rows that share the column add their multiply-adds. The rates were fitted to 284 measured
schedules of a residual network's layers at 70 to 95 % zeros: between schedules of one layer they
are off by 9 % in the median, and the one they choose is 9 % slower than the fastest measured.
"""

from math import log2, prod

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.sparse import tile
from codesign.targets.tvm.kernels.sparse_cut import Cut, cut
from codesign.targets.tvm.kernels.sparse_frame import Frame, Rows
from codesign.targets.tvm.kernels.sparse_point import Point

L1_BYTES = 32 * 1024
LINE = 64
MULTIPLY = 0.55  # cycles of a vector multiply-add whose activations are in registers
NEAR, FAR = 0.7, 0.92  # of one that reads the input from the first or second level of the cache
NEAR_SPLIT, FAR_SPLIT = 1.38, 1.85  # of one that straddles cache lines
PANEL = (1.0, 1.32, 1.6)  # of one that reads a panel of 32 KB, 128 KB, 1 MB
COLUMN, PANEL_COLUMN = 1.5, 1.1  # cycles of a column apart from its vectors
LIST, PANEL_LIST = 5.0, 8.0  # cycles to begin and end a list
RUN = 13.0  # cycles until a list has found its place in the output
STORE, PANEL_STORE = 12.0, 17.0  # cycles of a vector stored
KEEP = 1.2  # cycles of a vector moved between panels
SCATTER = 1.5  # cycles of an element stored apart from its neighbours
TURN, COPY = 1.0, 1.6  # cycles of an element of the input's copy, turned or not
GATHER = 4.5  # cycles of a vector copied into a panel


def cycles(frame: Frame, isa: Isa, point: Point, lists: int, columns: int) -> float:
    """Cycles of all tiles of one core, for `lists` of together `columns` weight columns."""
    found = cut(frame.shape, isa, point.vectors, point.tiles) if point.panel else None
    tiles = _tiles(frame, isa, point, lists, columns) if found is None else 0.0
    if found is not None:
        tiles = _panels(frame, point, found, lists, columns)
    return tiles + frame.copied * (TURN if isinstance(frame, Rows) else COPY)


def _tiles(frame: Frame, isa: Isa, point: Point, lists: int, columns: int) -> float:
    """Cycles where the input is read as it is."""
    shape, plane, found = frame.shape, frame.plane, tile(frame.shape, isa, point.vectors)
    vectors = len(found.starts)
    aligned = not plane.copied and plane.channel * 4 % LINE == 0
    near = vectors * LINE * shape.ic <= L1_BYTES
    rates = (FAR_SPLIT, NEAR_SPLIT), (FAR, NEAR)
    load = rates[aligned][near]
    column = vectors * (load + (point.rows - 1) * MULTIPLY) + COLUMN
    stored = point.rows * vectors * STORE
    if isinstance(frame, Rows):
        stored = point.rows * vectors * found.lanes * SCATTER
    return shape.n * prod(found.counts) * (columns * column + lists * (RUN + LIST + stored))


def _panels(frame: Frame, point: Point, found: Cut, lists: int, columns: int) -> float:
    """Cycles where the input is copied into panels."""
    depth = frame.shape.ic * prod(frame.shape.kernel)
    blocks, sums = -(-depth // point.panel), point.rows * point.vectors
    load = _panel_rate(point.panel * found.pitch * 4)
    column = point.vectors * (load + (point.rows - 1) * MULTIPLY) + PANEL_COLUMN
    moved = sums * ((2 * blocks - 1) * KEEP if blocks > 1 else 0)
    one = columns * column + lists * (blocks * PANEL_LIST + moved + sums * PANEL_STORE)
    copied = depth * found.lines * len(found.starts) * GATHER + lists * RUN
    return frame.shape.n * prod(found.tile.counts) * (found.tiles * one + copied)


def _panel_rate(size: int) -> float:
    """Cycles of a multiply-add that reads a panel of `size` bytes."""
    near, far, farther = PANEL
    steps = log2(max(size, L1_BYTES) / L1_BYTES)
    return near + (far - near) * min(steps / 2, 1) + (farther - far) * min(max(0, steps - 2) / 3, 1)
