"""The schedules of sparse kernels, and which of them suit a problem."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.sparse_cut import cut
from codesign.targets.tvm.kernels.sparse_frame import Frame, Rows
from codesign.targets.tvm.kernels.sparse_plane import Plane

MOST_ROWS = 8
MOST_VECTORS = 16
MOST_CHAINS = 4
TILE_BYTES = 1024  # of working memory that stays on the stack
PANELS = (
    32 * 1024,
    128 * 1024,
    256 * 1024,
    512 * 1024,
)  # bytes of a panel: parts of the second-level cache
TILES = (1, 2, 4, 8)  # that a list visits before the next


@dataclass(frozen=True)
class Point:
    """A schedule: `rows` output channels by `vectors` of pixels in `chains` sets of registers.

    With a `panel`, the activations that so many weight columns and `tiles` tiles need are copied
    next to each other before they are multiplied (`sparse_panel`); without, they are read where
    they lie (`sparse`).
    """

    rows: int
    vectors: int
    chains: int
    panel: int = 0
    tiles: int = 1


def accepts(shape: ConvShape) -> bool:
    """Whether the shape is a convolution over one or two axes with pads of at least zero."""
    pads = min((min(p) for p in shape.pads), default=0)
    return 1 <= len(shape.spatial) <= 2 and not shape.transposed and pads >= 0


def lists(w: NDArray[np.float32], rows: int) -> NDArray[np.bool_]:
    """[lists, columns of the weight]: the columns that each group of `rows` rows reads."""
    flat = w.reshape(w.shape[0], -1) != 0
    short = -flat.shape[0] % rows
    padded = np.pad(flat, ((0, short), (0, 0)))
    used: NDArray[np.bool_] = np.any(padded.reshape(-1, rows, flat.shape[1]), axis=1)
    return used


def space(frame: Frame, isa: Isa) -> list[Point]:
    """Every tile that fits the registers of `isa`, with chains enough to hide latencies."""
    shape, found = frame.shape, []
    for rows in (1, 2, 4, MOST_ROWS):
        if shape.groups > 1 and shape.group_oc % rows:
            continue
        for vectors in range(1, MOST_VECTORS + 1):
            chains = min(max(1, -(-8 // (rows * vectors))), MOST_CHAINS)
            stack = vectors * isa.f32_lanes * 4 <= TILE_BYTES
            if not stack or rows * vectors * chains + rows + 1 > isa.registers:
                continue
            if _fits(shape, isa, vectors):
                found.append(Point(rows, vectors, chains))
            for tiles in TILES:
                counts = _panels(frame, isa, vectors, tiles)
                few = min(chains, -(-4 // (rows * vectors)))
                found += [Point(rows, vectors, few, count, tiles) for count in counts]
    return found


def _fits(shape: ConvShape, isa: Isa, vectors: int) -> bool:
    """Whether a tile of the input as it is fills `vectors`."""
    plane = Plane(shape)
    rows, columns = plane.pixels
    widest = (rows - 1) * plane.pitch + columns
    return columns > 0 and (vectors == 1 or (vectors - 1) * isa.f32_lanes < widest)


def _panels(frame: Frame, isa: Isa, vectors: int, tiles: int) -> list[int]:
    """Numbers of columns that a panel may have."""
    shape = frame.shape
    if isinstance(frame, Rows) or shape.groups > 1:
        return []
    found = cut(shape, isa, vectors, tiles)
    if found is None or len(found.tile.starts) != vectors or found.tiles != tiles:
        return []
    columns = shape.ic * prod(shape.kernel)
    counts = [max(1, -(-columns * found.pitch * 4 // size)) for size in PANELS]
    return sorted({-(-columns // count) for count in counts})
