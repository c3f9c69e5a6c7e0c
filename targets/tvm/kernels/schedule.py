"""Schedules of tiled convolutions: which are legal, and which one to take without tuning.

The model counts cycles of one core: a step of the reduction is bound by two multiply-adds or two
loads a cycle or by the latency of a multiply-add. Bands are chosen for the least traffic from
beyond the second-level cache. The model only has to rank schedules.
"""

from math import prod

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.tile import registers
from codesign.targets.tvm.kernels.tiled import Point
from codesign.targets.tvm.kernels.window import split

LATENCY = 4  # cycles of a multiply-add
STEP = 1.0  # cycles lost at each step of the reduction's loop
TILE = 1.5  # cycles per accumulator to clear and store a tile
CACHE = 768 * 1024  # bytes of the second-level cache that one operand may fill
TASKS = 8  # tasks a kernel should have for threads to share


def space(shape: ConvShape, isa: Isa, depth: int) -> list[Point]:
    """Every tile that fits the registers of `isa`, with bands of 1, 2, 4, ... row tiles."""
    return [
        Point(cols, rows, blocks, band)
        for rows, cols, blocks in _tiles(shape, isa, depth)
        for band in _bands(len(split(shape.out_spatial[0], rows)))
    ]


def best(shape: ConvShape, isa: Isa, depth: int) -> Point:
    """The cheapest schedule by the model; among equals the one with the larger bands."""
    tile = min(_tiles(shape, isa, depth), key=lambda t: _compute(shape, isa, *t))
    rows, cols, blocks = tile
    bands = _bands(len(split(shape.out_spatial[0], rows)))
    return min(
        (Point(cols, rows, blocks, band) for band in reversed(bands)),
        key=lambda p: (_idle(shape, p), _traffic(shape, p)),
    )


def _tiles(shape: ConvShape, isa: Isa, depth: int) -> list[tuple[int, int, int]]:
    """(rows, cols, blocks): whole divisors of a group's channel blocks; equal cuts only once."""
    oh, ow = shape.out_spatial
    per_group = shape.oc_blocks // shape.groups
    found = []
    for blocks in (b for b in range(1, 9) if per_group % b == 0):
        for cols in _cuts(ow):
            for rows in _cuts(oh) if cols == ow else [1]:
                if registers(isa, shape.block, rows * cols, blocks, depth) <= isa.registers:
                    found.append((rows, cols, blocks))
    return found


def _cuts(size: int) -> list[int]:
    """The widths of equal cuts: every width that is the larger part of some split."""
    return sorted({split(size, most)[0] for most in range(1, min(size, 32) + 1)})


def _bands(tiles: int) -> list[int]:
    powers = [1 << i for i in range(tiles.bit_length()) if 1 << i < tiles]
    return [*powers, tiles]


def _compute(shape: ConvShape, isa: Isa, rows: int, cols: int, blocks: int) -> float:
    """Cycles per image of all tiles, data being near."""
    oh, ow = shape.out_spatial
    steps = shape.group_ic * prod(shape.kernel)
    total = 0.0
    for height in split(oh, rows):
        for width in set(parts := split(ow, cols)):
            pixels = height * width
            total += parts.count(width) * _tile(shape, isa, pixels, blocks, steps)
    return total * shape.oc_blocks / blocks


def _tile(shape: ConvShape, isa: Isa, pixels: int, blocks: int, steps: int) -> float:
    vectors = blocks * shape.block // isa.f32_lanes
    fma = pixels * vectors / 2
    loads = (pixels + vectors) / 2
    step = max(fma, loads, LATENCY) + STEP
    return steps * step + TILE * pixels * vectors + 20


def _idle(shape: ConvShape, point: Point) -> int:
    """How many tasks are missing to keep several threads evenly busy."""
    bands = -(-len(split(shape.out_spatial[0], point.rows)) // point.band)
    return max(0, TASKS - shape.n * bands * (shape.oc_blocks // point.blocks))


def _traffic(shape: ConvShape, point: Point) -> float:
    """Bytes from beyond the second-level cache, weights and input together."""
    tiles = len(split(shape.out_spatial[0], point.rows))
    bands = -(-tiles // point.band)
    weights = 4 * shape.oc * shape.group_ic * prod(shape.kernel)
    data = 4 * shape.ic * prod(shape.spatial)
    again_weights = bands if weights > CACHE else 1
    again_data = shape.oc_blocks // point.blocks if data / bands > CACHE else 1
    return float(weights * again_weights + data * again_data)
