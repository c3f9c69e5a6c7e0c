"""Schedules of Winograd convolutions: which are sensible, what they take, which one is best.

The model counts cycles of one core that starts two multiply-adds or two loads and one store of a
vector a cycle. A task reads its transformed patches once for each tile of output channels, so they
should stay in the second-level cache, while more tiles share the work of transforming weights.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.tile import registers
from codesign.targets.tvm.kernels.window import split
from codesign.targets.tvm.kernels.winograd import TAPS

TASKS = 4  # parts that are enough for threads to share
LATENCY = 4  # cycles of a multiply-add
LOAD = 0.55  # cycles of a load that hits the first-level cache, most of the time
FETCH = 4  # cycles to load a vector of weights that are not there
STEP = 0.5  # cycles lost at each step of the reduction's loop
STORE = 2.0  # cycles per accumulator to load and store a tile
TILE = 20  # cycles to begin and end a tile
CACHE = 1280 * 1024  # bytes of the second-level cache that a task may fill
BEYOND = 14  # bytes a cycle that arrive from beyond it
WITHIN = 32  # bytes a cycle that arrive from it
NEAR = 40 * 1024  # bytes of weights, 3 x 3 and transformed, that the first-level cache holds
CHUNKS = (16, 32, 64)  # input channels whose transformed weights may be held at a time
DATA = {2: 50, 4: 120}  # cycles to transform one vector of a patch, by m
WEIGHT = {2: 20, 4: 40}  # the same for the taps of one input channel, if they are near
FAR = {2: 70, 4: 160}  # the same if they are not
RESULT = {2: 36, 4: 110}  # the same for the products of a tile, with the epilogue
EDGE = {2: 30, 4: 60}  # cycles to copy one vector of a patch that meets padding


@dataclass(frozen=True)
class Point:
    """A schedule: F(m x m, 3 x 3) over `tiles` tiles at a time.

    With one share, these tiles are a task for a thread; with more, threads share their patches and
    then the output channels.

    Matrix products keep `rows` tiles x `blocks` channel blocks in registers and go through the
    input channels in chunks of `chunk` blocks.
    """

    m: int
    tiles: int
    rows: int
    blocks: int
    chunk: int
    shares: int


def accepts(shape: ConvShape) -> bool:
    """Whether the shape is a 2d 3x3 convolution of stride 1 without dilation or groups."""
    plain = set(shape.strides) == set(shape.dilations) == {1} and shape.groups == 1
    return plain and shape.kernel == (3, 3) and not shape.transposed


def tiles_of(shape: ConvShape, m: int) -> tuple[int, int]:
    """Tiles of an image: rows and columns."""
    high, wide = shape.out_spatial
    return -(-high // m), -(-wide // m)


def space(shape: ConvShape, isa: Isa) -> list[Point]:
    """F(2) and F(4), tasks of several sizes, every register tile that is worth trying."""
    return [
        Point(m, tiles, rows, blocks, chunk, shares)
        for m in (2, 4)
        for tiles in _counts(prod(tiles_of(shape, m)) * shape.n)
        for rows, blocks in _registers(shape, isa, tiles)
        for chunk in _chunks(shape)
        for shares in (s for s in (1, 2, 4) if shape.oc_blocks // blocks % s == 0)
    ]


def _counts(tiles: int) -> list[int]:
    """Sizes of equal parts of all tiles, up to 128, no more than 24 of them."""
    sizes = sorted({-(-tiles // parts) for parts in range(1, tiles + 1) if tiles <= 128 * parts})
    return sizes[:: -(-len(sizes) // 24)] if len(sizes) > 24 else sizes


def _chunks(shape: ConvShape) -> list[int]:
    return sorted({min(shape.ic_blocks, -(-c // shape.block)) for c in CHUNKS})


def _registers(shape: ConvShape, isa: Isa, tiles: int) -> Iterator[tuple[int, int]]:
    """(rows, channel blocks): for each number of blocks the four most rows of equal cuts."""
    cuts = sorted({split(tiles, most)[0] for most in range(1, 29)})
    for blocks in (b for b in range(1, 9) if shape.oc_blocks % b == 0):
        fit = [
            rows
            for rows in cuts
            if registers(isa, shape.block, rows, blocks, shape.block) <= isa.registers
        ]
        yield from ((rows, blocks) for rows in fit[-4:])


def best(shape: ConvShape, isa: Isa) -> Point:
    """The schedule with the fewest cycles; few parts are cut into shares for threads."""
    points = [
        Point(m, tiles, rows, blocks, chunk, 1)
        for m in (2, 4)
        for tiles in _counts(prod(tiles_of(shape, m)) * shape.n)
        for rows, blocks in _registers(shape, isa, tiles)
        for chunk in _chunks(shape)
    ]
    found = min(points, key=lambda point: cycles(shape, isa, point))
    parts = -(-prod(tiles_of(shape, found.m)) * shape.n // found.tiles)
    groups = shape.oc_blocks // found.blocks
    shares = max(s for s in (1, 2, 4, 8) if groups % s == 0)
    return replace(found, shares=1 if parts >= TASKS else shares)


def cycles(shape: ConvShape, isa: Isa, point: Point) -> float:
    """Cycles of one core for the whole layer."""
    tiles = prod(tiles_of(shape, point.m)) * shape.n
    return -(-tiles // point.tiles) * (
        _data(shape, isa, point)
        + _weights(shape, isa, point)
        + _products(shape, isa, point)
        + _results(shape, isa, point)
    )


def _vectors(shape: ConvShape, isa: Isa) -> int:
    """Vector registers of a channel block."""
    return -(-shape.block // isa.f32_lanes)


def _data(shape: ConvShape, isa: Isa, point: Point) -> float:
    high, wide = tiles_of(shape, point.m)
    inner = max(0, high - 2) * max(0, wide - 2) / (high * wide)
    one = DATA[point.m] + EDGE[point.m] * (1 - inner)
    return point.tiles * shape.ic_blocks * _vectors(shape, isa) * one


def _weights(shape: ConvShape, isa: Isa, point: Point) -> float:
    one = (WEIGHT if _near(shape, point) else FAR)[point.m]
    return shape.ic * shape.oc_blocks * _vectors(shape, isa) * one


def _near(shape: ConvShape, point: Point) -> bool:
    """Whether a chunk's weights, as they come and a row of points of them, stay near."""
    lanes = point.blocks * shape.block
    return 4 * (TAPS**2 + point.m + 2) * point.chunk * shape.block * lanes <= NEAR


def _results(shape: ConvShape, isa: Isa, point: Point) -> float:
    return point.tiles * shape.oc_blocks * _vectors(shape, isa) * RESULT[point.m]


def _products(shape: ConvShape, isa: Isa, point: Point) -> float:
    chunks, planes = -(-shape.ic_blocks // point.chunk), (point.m + 2) ** 2
    vectors = point.blocks * _vectors(shape, isa)
    total, fetch = 0.0, 0 if _near(shape, point) else FETCH * vectors
    whole, rest = divmod(point.tiles, point.rows)
    for rows, count in Counter([point.rows] * whole + [rest] * (rest > 0)).items():
        step = max(rows * vectors / 2, (rows + vectors) * LOAD, fetch, LATENCY) + STEP
        total += count * (shape.ic * step + chunks * (STORE * rows * vectors + TILE))
    channel_tiles = shape.oc_blocks // point.blocks
    return channel_tiles * (planes * total + _reading(shape, point, planes))


def _reading(shape: ConvShape, point: Point, planes: int) -> float:
    """Cycles to read the patches, for one tile of channels, and again what the cache lost."""
    b = shape.block
    patches = 4 * planes * point.tiles * shape.ic_blocks * b
    weights = 4 * (point.m + 2 + TAPS**2) * point.chunk * b * point.blocks * b
    products = 4 * planes * point.tiles * point.blocks * b
    over = patches + weights + products - CACHE
    return patches / WITHIN + min(patches, max(0, over) * 2) / BEYOND
