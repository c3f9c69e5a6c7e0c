"""Where a Winograd task keeps transformed patches, weights and products.

Each transform stores one vector in every one of the (m+2)^2 planes. If planes were far apart, each
would be in a page of its own, of which a processor holds few for storing (16 on current ones): so
small pieces of all planes lie together, and patches and weights are sequences of such pieces.
"""

from dataclasses import dataclass

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.winograd import Scheme
from codesign.targets.tvm.kernels.winograd_schedule import Point
from codesign.targets.tvm.tir import Buffer, Expr, Function

LINE = 16  # float32 elements in a cache line
PIECE = 256  # elements of a plane in a piece of the weights


@dataclass(frozen=True)
class Scratch:
    """Working memory of a task, flat; the methods give linear offsets.

    `patches` is [IC blocks, row tiles, planes, rows, b], `weights` [channels of a chunk / run,
    planes of one row of points, run, lanes], `products` [planes, tiles, lanes], `edge` one patch.
    Lanes are the output channels of a register tile; a run is the input channels of a piece.
    """

    shape: ConvShape
    point: Point
    patches: Buffer
    weights: Buffer
    products: Buffer
    edge: Buffer

    def patch(self, icb: Expr, t: Expr) -> Expr:
        """Tile `t` of a channel block in the first plane."""
        rows, b = self.point.rows, self.shape.block
        piece = icb * -(-self.point.tiles // rows) + t // rows
        return piece * (_planes(self.point) * self.patch_plane(1)) + t % rows * b

    def patch_plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one."""
        return plane * _apart(self.point.rows * self.shape.block)

    def weight(self, ic: Expr) -> Expr:
        """Input channel `ic` of the chunk in the first plane of the row."""
        run = run_of(self.shape, self.point)
        piece = ic // run
        lanes = self.point.blocks * self.shape.block
        return piece * (Scheme(self.point.m).size * self.weight_plane(1)) + ic % run * lanes

    def weight_plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one of its row."""
        lanes = self.point.blocks * self.shape.block
        return plane * _apart(run_of(self.shape, self.point) * lanes)

    def product_plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one."""
        return plane * _apart(self.point.tiles * self.point.blocks * self.shape.block)


def allocate(f: Function, shape: ConvShape, point: Point) -> Scratch:
    """Allocate the working memory in the enclosing block."""
    b, planes, lanes = shape.block, _planes(point), point.blocks * shape.block
    run = run_of(shape, point)
    pieces = shape.ic_blocks * -(-point.tiles // point.rows)
    patches = pieces * planes * _apart(point.rows * b)
    weights = point.chunk * b // run * Scheme(point.m).size * _apart(run * lanes)
    products = planes * _apart(point.tiles * lanes)
    return Scratch(
        shape,
        point,
        f.scratch("patches", (patches,), "float32"),
        f.scratch("weights", (weights,), "float32"),
        f.scratch("products", (products,), "float32"),
        f.scratch("edge", (planes * b,), "float32"),
    )


def run_of(shape: ConvShape, point: Point) -> int:
    """Input channels whose weights lie together: a power of two, at most a block."""
    run = 1
    while run * 2 <= shape.block and run * 2 * point.blocks * shape.block <= PIECE:
        run *= 2
    return run


def _planes(point: Point) -> int:
    return Scheme(point.m).size ** 2


def _apart(size: int) -> int:
    """`size` or more elements that are an odd number of cache lines, to spread over cache sets."""
    return (-(-size // LINE) | 1) * LINE
