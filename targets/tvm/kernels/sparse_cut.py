"""How the output pixels of a sparse convolution with panels are cut into tasks and tiles.

A task has one stretch of the flat output map, whole lines of it or part of one, and its tiles are
stretches of that.
"""

from dataclasses import dataclass

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.sparse_end import LINE, Tile
from codesign.targets.tvm.kernels.sparse_plane import Plane


@dataclass(frozen=True)
class Cut:
    """`lines` x `width` pixels of the image at once, side by side, in `tiles` times `tile`.

    A column of a panel takes `pitch` floats; each line of it is copied by vectors of `lanes` that
    begin at `starts`, which may overlap, and may be wider than the line where that is allowed.
    """

    lines: int
    width: int
    tile: Tile
    tiles: int
    pitch: int
    lanes: int
    starts: tuple[int, ...]

    @property
    def last(self) -> int:
        """Where the last tile begins, to end where the stretch does."""
        return self.lines * self.width - self.tile.width


def cut(shape: ConvShape, isa: Isa, vectors: int, tiles: int) -> Cut | None:
    """The longest stretch for `tiles` of `vectors`; None if there are no pixels."""
    plane = Plane(shape)
    rows, columns = plane.pixels
    if not rows * columns:
        return None
    inner = vectors * isa.f32_lanes
    width = min(columns, inner * tiles)
    lines = max(1, min(rows, inner * tiles // columns))
    lanes, starts = covered(width, isa.f32_lanes)
    if plane.copied and width < isa.f32_lanes:
        lanes = 1 << (width - 1).bit_length()
    pitch = -(-((lines - 1) * width + starts[-1] + lanes) // LINE) * LINE
    span = min(inner, lines * width)
    counts = (-(-rows // lines), -(-columns // width))
    tile = Tile(1, span, span, *covered(span, isa.f32_lanes), counts)
    return Cut(lines, width, tile, -(-lines * width // span), pitch, lanes, starts)


def covered(extent: int, lanes: int) -> tuple[int, tuple[int, ...]]:
    """(lanes, starts) of the vectors that cover `extent` elements; the last may overlap others."""
    width = min(lanes, extent)
    return width, tuple(min(v * width, extent - width) for v in range(-(-extent // width)))
