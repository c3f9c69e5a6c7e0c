"""Register tiles of 8-bit convolutions: output pixels x output channels over one reduction.

The reduction walks kernel rows, kernel columns and steps; a step is one 32-bit word of channels. A
tile that does not divide the output overlaps its neighbour: the last one starts earlier.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import int8_layout as layout
from codesign.targets.tvm.kernels.int8_dot import Dot, dot_of
from codesign.targets.tvm.kernels.int8_layout import Plane
from codesign.targets.tvm.tir import Buffer, Expr, Function, load, zeros

_L2_SHARE = 512 * 1024  # bytes of activations that a chunk may read
_TASKS = 8  # at least, where there are so many tiles


@dataclass(frozen=True)
class Point:
    """A register tile: vectors of channels, rows and columns of pixels; tiles a task."""

    blocks: int
    rows: int
    columns: int
    chunk: int


@dataclass(frozen=True)
class Reduction:
    """What is summed: a plane whose pixels hold `channels` of which `used` have weights.

    With `merged`, the columns of a kernel row are walked as if they were channels.
    """

    p: Plane
    dot: Dot
    channels: int
    used: int
    merged: bool

    @property
    def loops(self) -> tuple[int, int, int]:
        """Kernel rows, kernel columns, words a column."""
        if self.merged:
            return self.p.kh, 1, -(-self.p.kw * self.channels // self.dot.depth)
        return self.p.kh, self.p.kw, -(-self.used // self.dot.depth)

    @property
    def steps(self) -> int:
        """Words of the whole reduction."""
        kh, kw, steps = self.loops
        return kh * kw * steps

    @property
    def blocks(self) -> int:
        """Vectors of output channels; physical channels are a multiple of 16."""
        return layout.channels(self.p.oc) // self.dot.lanes

    def packed(self, point: Point) -> tuple[int, ...]:
        """Shape of the packed weight: channel tiles, words (and initial sums), blocks, weights."""
        tiles = len(starts(self.blocks, point.blocks))
        return (tiles, self.steps + (self.dot.offset != 0), point.blocks, self.dot.width)

    def pack(self, weight: npt.NDArray[np.int8], point: Point) -> npt.NDArray[np.signedinteger]:
        """[O, I, kh, kw] in the order in which the loops read it."""
        p, lanes, depth = self.p, self.dot.lanes, self.dot.depth
        full = np.zeros((self.blocks * lanes, p.kh, p.kw, self.channels), np.int8)
        full[: p.oc, ..., : p.ic] = weight.reshape(p.oc, p.ic, p.kh, p.kw).transpose(0, 2, 3, 1)
        kh, kw, steps = self.loops
        rows = full.reshape(self.blocks * lanes, kh, kw, -1)[..., : steps * depth]
        rows = np.pad(rows, ((0, 0),) * 3 + ((0, steps * depth - rows.shape[-1]),))
        split = rows.reshape(self.blocks, lanes, self.steps, depth).transpose(0, 2, 1, 3)
        words = split.reshape(self.blocks, self.steps, self.dot.width).astype(self.dot.weight)
        if self.dot.offset:
            start = -self.dot.offset * full.reshape(self.blocks, 1, lanes, -1).sum(-1, np.int32)
            words = np.concatenate([words, start.astype(np.int32).view(np.int8)], 1)
        tiles = [words[s : s + point.blocks] for s in starts(self.blocks, point.blocks)]
        return np.ascontiguousarray(np.stack(tiles).transpose(0, 2, 1, 3))


def starts(total: int, tile: int) -> list[int]:
    """Where tiles of `tile` start that cover `total`; the last overlaps."""
    return [min(i, total - tile) for i in range(0, total, tile)]


def space(r: Reduction, isa: Isa) -> list[Point]:
    """Register tiles that fit, least estimated time first."""
    points = []
    available = r.p.oh * r.p.ow
    for b in range(1, min(r.blocks, 4 if available >= 4 else 12) + 1):
        most = min(max((isa.registers - b - 1) // b, 1), available)
        for pixels in range(max(1, most // 2), most + 1):
            points += [_point(r, b, h, pixels // h) for h in _heights(pixels, r.p)]
    points = points or [_point(r, 1, 1, 1)]
    return sorted(set(points), key=lambda point: _cost(r, point))


def _heights(pixels: int, p: Plane) -> Iterator[int]:
    return (h for h in (1, 2, 4, 7) if pixels % h == 0 and h <= p.oh and pixels // h <= p.ow)


def _point(r: Reduction, blocks: int, rows: int, columns: int) -> Point:
    p = r.p
    read = rows * columns * p.sh * p.sw * r.channels
    tiles = -(-p.oh // rows) * -(-p.ow // columns)
    return Point(blocks, rows, columns, chunk(tiles, -(-r.blocks // blocks), read))


def chunk(tiles: int, groups: int, read: int) -> int:
    """Tiles of a task, of `read` bytes each: weights stay in cache over as many as possible.

    All of them if the activations fit in the cache and the channel groups make enough tasks.
    """
    enough = -(-_TASKS // groups)
    return max(1, min(_L2_SHARE // read, -(-tiles // enough)))


def _cost(r: Reduction, point: Point) -> float:
    """Cycles of a step, up to a factor: two multiplications or two loads a cycle."""
    p, pixels = r.p, point.rows * point.columns
    tiles = -(-p.oh // point.rows) * -(-p.ow // point.columns) * -(-r.blocks // point.blocks)
    loads = pixels + point.blocks
    latency = max(10, pixels * point.blocks)  # sums in flight
    return tiles * (max(latency, loads) + 0.8 * loads + 2 + 11.0 * pixels * point.blocks / r.steps)


@dataclass(frozen=True)
class Tiles(ABC):
    """The loops over register tiles; what one computes is `tile`."""

    f: Function
    r: Reduction
    point: Point
    image: layout.Image

    @abstractmethod
    def tile(self, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        """Compute the tile of image `n` whose first pixel is (y, x), channel tile `group`."""

    @property
    def groups(self) -> int:
        """Tiles of channels."""
        return self.r.packed(self.point)[0]

    def emit(self) -> None:
        """All tiles: a task is a chunk of pixel tiles and one channel tile."""
        p, point = self.r.p, self.point
        across = -(-p.ow // point.columns)
        tiles = -(-p.oh // point.rows) * across
        chunks, groups = -(-tiles // point.chunk), self.groups
        with self.f.parallel(p.n * chunks * groups, "task") as task:
            group, n = task % groups, task // (groups * chunks)
            first = self.f.let(task // groups % chunks * point.chunk)
            with self.f.serial(tirx.min(tiles - first, point.chunk), "tile") as t:
                tile = first + t
                y = self.f.let(tirx.min(tile // across * point.rows, p.oh - point.rows))
                x = self.f.let(tirx.min(tile % across * point.columns, p.ow - point.columns))
                self.tile(n, group, y, x)

    def walk(self, n: Expr, rows: Expr) -> None:
        """All tiles of the first `rows` rows of image `n`, within a task."""
        f, point = self.f, self.point
        across, width = -(-self.r.p.ow // point.columns), self.r.p.ow - point.columns
        tiles = (rows + point.rows - 1) // point.rows * across
        with f.serial(self.groups, "group") as group, f.serial(tiles, "tile") as tile:
            y = f.let(tirx.min(tile // across * point.rows, rows - point.rows))
            x = f.let(tirx.min(tile % across * point.columns, width))
            self.tile(n, group, y, x)


@dataclass(frozen=True)
class Kernel(Tiles):
    """The loops of one function on 8-bit codes."""

    weight: Buffer
    out: layout.Image
    epilogue: Epilogue
    operands: tuple[Buffer, ...]

    def tile(self, n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        point, lanes = self.point, self.r.dot.lanes
        acc = self._sums(group)
        self._reduce(acc, n, group, y, x)
        block = self.f.let(tirx.min(group * point.blocks, self.r.blocks - point.blocks))
        for i, total in enumerate(acc):
            (r, c), b = divmod(i // point.blocks, point.columns), i % point.blocks
            index = self.out.at(n, y + r, x + c, (block + b) * lanes)
            layout.finish(self.f, self.epilogue, total, self.out, index, self.operands, lanes)

    def _sums(self, group: Expr) -> list[Buffer]:
        point, dot = self.point, self.r.dot
        start = [zeros(dot.lanes, "int32")] * point.blocks
        if dot.offset:
            rows = [
                load(self.weight, (group, self.r.steps, b, 0), dot.width)
                for b in range(point.blocks)
            ]
            start = [tirx.reinterpret(f"int32x{dot.lanes}", row) for row in rows]
        count = point.rows * point.columns * point.blocks
        acc = [self.f.local("acc", (dot.lanes,), "int32") for _ in range(count)]
        for i, total in enumerate(acc):
            self.f.store(total, start[i % point.blocks], (0,), dot.lanes)
        return acc

    def _reduce(self, acc: list[Buffer], n: Expr, group: Expr, y: Expr, x: Expr) -> None:
        kh, kw, steps = self.r.loops
        p, f, dot, blocks = self.r.p, self.f, self.r.dot, self.point.blocks
        with f.serial(kh, "ky") as ky, f.serial(kw, "kx") as kx, f.serial(steps, "k") as k:
            step = (ky * kw + kx) * steps + k
            weights = [
                f.let(load(self.weight, (group, step, b, 0), dot.width), "w", self._weight_dtype)
                for b in range(blocks)
            ]
            for i in range(self.point.rows * self.point.columns):
                r, c = divmod(i, self.point.columns)
                row, column = (y + r) * p.sh + ky * p.dh, (x + c) * p.sw + kx * p.dw
                at = self.image.at(n, row, column, k * dot.depth)
                word = load(self.image.buffer, at, dot.depth)
                operand = f.let(dot.operand(word), "a", dot.operand_dtype)
                for total, w in zip(acc[i * blocks : (i + 1) * blocks], weights, strict=True):
                    value = dot.add(load(total, (0,), dot.lanes), operand, w)
                    f.store(total, value, (0,), dot.lanes)

    @property
    def _weight_dtype(self) -> str:
        return f"{self.r.dot.weight}x{self.r.dot.width}"


def reduction(p: Plane, isa: Isa, element: str = "uint8") -> Reduction:
    """The reduction of a plane whose channels lie as `int8_layout` says."""
    merged = p.dw == 1 and p.kw > 1
    return Reduction(p, dot_of(isa, element), layout.channels(p.ic), p.ic, merged)
