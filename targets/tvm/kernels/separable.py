"""Depthwise-separable convolutions and inverted residual blocks, as problems and schedules.

A block is an optional 1x1 convolution that expands the channels, a depthwise k x k one, and a 1x1
one (Howard et al., "MobileNets", 2017; Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018). It goes over tiles of output rows: what lies between the convolutions is
made for one tile at a time and stays in the second-level cache. The expanded rows that neighbouring
tiles share stay in a ring of rows; only the tasks of a parallel loop make their first rows anew.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from tvm import tirx

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.window import Window, windows
from codesign.targets.tvm.tir import Expr, Function

SCRATCH = 1 << 20  # bytes between the convolutions that leave room for the rest in the cache
WHOLE = 400 * 1024  # bytes between the convolutions that one tile of a whole map may take


@dataclass(frozen=True)
class Block:
    """The convolutions of a block; `expand` is None for a separable one alone."""

    expand: ConvShape | None
    depth: ConvShape
    project: ConvShape

    def __str__(self) -> str:
        """The convolutions in order."""
        return ", ".join(map(str, self.stages))

    @property
    def stages(self) -> tuple[ConvShape, ...]:
        """The convolutions in order."""
        return (*((self.expand,) if self.expand else ()), self.depth, self.project)

    @cached_property
    def vertical(self) -> Window:
        """The rows of the depthwise convolution."""
        return windows(self.depth)[0]


def accepts(block: Block) -> bool:
    """Whether every convolution is what a block has there."""
    d = block.depth
    whole = d.groups == d.ic == d.oc and len(d.spatial) == 2 and not d.transposed
    points = (block.project, *((block.expand,) if block.expand else ()))
    real = min(min(pad) for pad in d.pads) >= 0 and min(d.out_spatial) >= 1
    return whole and set(d.dilations) == {1} and real and all(map(pointwise, points))


def pointwise(shape: ConvShape) -> bool:
    """Whether `shape` makes every pixel of the one below it."""
    once = set(shape.strides) == {1} and shape.groups == 1 and not shape.transposed
    return once and prod(shape.kernel) == 1 and not any(map(any, shape.pads))


@dataclass(frozen=True)
class Cut:
    """Output rows in tiles of `rows`, the last of which overlaps, in `bands` tasks an image."""

    block: Block
    rows: int
    bands: int

    @property
    def tiles(self) -> int:
        """Tiles of an image."""
        return -(-self.block.vertical.out // self.rows)

    @property
    def span(self) -> int:
        """Tiles of a task."""
        return -(-self.tiles // self.bands)

    @property
    def tasks(self) -> int:
        """Tasks of all images."""
        return self.block.depth.n * -(-self.tiles // self.span)

    @property
    def ring(self) -> int:
        """Rows of the expanded map that a tile reads."""
        v = self.block.vertical
        return (self.rows - 1) * v.stride + v.kernel

    @property
    def again(self) -> float:
        """How many rows are expanded for each that there is: tasks begin with shared ones."""
        v, tasks = self.block.vertical, -(-self.tiles // self.span)
        return 1 + (tasks - 1) * max(0, v.kernel - v.stride) / v.size

    def begin(self, f: Function, band: Expr, tile: Expr) -> tuple[Expr, Expr, Expr]:
        """First output row of a tile; first and number of the rows to expand before it."""
        v, first = self.block.vertical, band * self.span
        row = f.let(tirx.min(tile * self.rows, v.out - self.rows), "row")
        low = tirx.max(0, row * v.stride - v.before)
        high = tirx.min(v.size, row * v.stride - v.before + self.ring)
        done = (tile - 1) * self.rows * v.stride - v.before + self.ring
        start = f.let(tirx.Select(tile == first, low, tirx.max(low, done)), "start")
        return row, start, f.let(tirx.max(0, high - start), "count")


def cuts(block: Block, threads: int, row_bytes: tuple[int, int]) -> list[Cut]:
    """Tiles of 1, 2, 4, ... parts of the map that fit in `SCRATCH`, in one task or some a thread.

    `row_bytes` are those of an expanded row and of a row of the depthwise result. Rows that the
    last tile would make again are few.
    """
    out, found = block.vertical.out, []
    parts = {-(-out // (1 << i)) for i in range(out.bit_length() + 1)}
    bands = [1] if threads == 1 else [threads, 2 * threads, 4 * threads]
    for rows in sorted(parts, reverse=True):
        for count in bands:
            cut = Cut(block, rows, min(count, -(-out // rows)))
            few = cut.tiles * rows - out <= out / 16 or cut.tiles <= threads
            fits = few and cut.ring * row_bytes[0] + rows * row_bytes[1] <= SCRATCH
            if (fits or rows == 1) and cut not in found:
                found.append(cut)
    return found


def best(block: Block, threads: int, row_bytes: tuple[int, int], near: int) -> Cut:
    """As few tasks as keep all threads busy; of these, the largest tile of at most `near` bytes.

    A map that goes with one tile a task is made at once if it takes no more than `WHOLE` bytes.
    """

    def size(cut: Cut) -> int:
        return cut.ring * row_bytes[0] + cut.rows * row_bytes[1]

    found = cuts(block, threads, row_bytes)
    busy = min(threads, max(cut.tasks for cut in found))
    fewest = min(cut.tasks for cut in found if cut.tasks >= busy)
    fair = [cut for cut in found if cut.tasks == fewest]
    fits = (c for c in fair if size(c) <= (WHOLE if c.span == 1 else near))
    return next(fits, fair[-1])


def row_of(shape: ConvShape) -> ConvShape:
    """`shape` for one row of the image."""
    return replace(shape, n=1, spatial=(1, shape.spatial[1]))


def pixels_of(shape: ConvShape, rows: int) -> ConvShape:
    """`shape` for the pixels of `rows` rows in one column."""
    return replace(shape, n=1, spatial=(rows * shape.spatial[1], 1))
