"""Where a Winograd task keeps transformed patches, weights and products.

Each transform stores one vector in every one of the (m+2)^2 planes. If planes were far apart, each
would be in a page of its own, of which a processor holds few for storing (16 on current ones): so
small pieces of all planes lie together, and patches and weights are sequences of such pieces.
"""

from dataclasses import dataclass

from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.tile import LINE
from codesign.targets.tvm.kernels.winograd import Scheme
from codesign.targets.tvm.kernels.winograd_schedule import Point
from codesign.targets.tvm.tir import Buffer, Expr, Function

PIECE = 256  # elements of a plane in a piece of the weights


@dataclass(frozen=True)
class Patches:
    """Transformed patches, flat: [IC blocks, row tiles, planes, rows, b]. Gives linear offsets."""

    shape: ConvShape
    point: Point
    buffer: Buffer

    @staticmethod
    def make(f: Function, shape: ConvShape, point: Point) -> "Patches":
        """Allocate them in the enclosing block."""
        pieces = shape.ic_blocks * -(-point.tiles // point.rows)
        size = pieces * _planes(point) * _apart(point.rows * shape.block)
        return Patches(shape, point, f.scratch("patches", (size,), "float32"))

    def at(self, icb: Expr, t: Expr) -> Expr:
        """Tile `t` of a channel block in the first plane."""
        rows, b = self.point.rows, self.shape.block
        piece = icb * -(-self.point.tiles // rows) + t // rows
        return piece * (_planes(self.point) * self.plane(1)) + t % rows * b

    def plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one."""
        return plane * _apart(self.point.rows * self.shape.block)


@dataclass(frozen=True)
class Panels:
    """Transformed weights of a chunk and the products, flat. Gives linear offsets.

    `weights` is [channels of a chunk / run, planes of one row of points, run, lanes], `products`
    [planes, tiles, lanes]. Lanes are the output channels of a register tile; a run is the input
    channels of a piece.
    """

    shape: ConvShape
    point: Point
    weights: Buffer
    products: Buffer

    @staticmethod
    def make(f: Function, shape: ConvShape, point: Point) -> "Panels":
        """Allocate them in the enclosing block."""
        lanes, run = point.blocks * shape.block, run_of(shape, point)
        row = Scheme(point.m).size * _apart(run * lanes)
        weights = f.scratch("weights", (point.chunk * shape.block // run * row,), "float32")
        size = _planes(point) * _apart(point.tiles * lanes)
        return Panels(shape, point, weights, f.scratch("products", (size,), "float32"))

    def weight(self, ic: Expr) -> Expr:
        """Input channel `ic` of the chunk in the first plane of the row."""
        run = run_of(self.shape, self.point)
        lanes = self.point.blocks * self.shape.block
        return ic // run * (Scheme(self.point.m).size * self.weight_plane(1)) + ic % run * lanes

    def weight_plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one of its row."""
        lanes = self.point.blocks * self.shape.block
        return plane * _apart(run_of(self.shape, self.point) * lanes)

    def product_plane(self, plane: Expr) -> Expr:
        """How far a plane lies behind the first one."""
        return plane * _apart(self.point.tiles * self.point.blocks * self.shape.block)


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
