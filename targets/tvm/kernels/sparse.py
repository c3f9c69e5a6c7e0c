"""Sparse weights times dense activations in float32, in the plain layout.

`rows` output channels share a list of weight columns in which any of them is not zero. A tile of
output pixels stays in registers while its columns go by: each is `vectors` loads of activations,
multiplied by the weight of every row (Elsen et al., "Fast sparse ConvNets", 2020, section 3). One
row suits scattered weights, several suit blocks. The weight becomes three arrays: where each list
starts (absent if all are equally long), where each column begins in the image, and the values.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.shapes import ConvShape, require
from codesign.targets.tvm.kernels.sparse_end import BAND, End, Tile
from codesign.targets.tvm.kernels.sparse_frame import Frame, Rows
from codesign.targets.tvm.kernels.sparse_list import Lists
from codesign.targets.tvm.kernels.sparse_plane import Plane
from codesign.targets.tvm.kernels.sparse_point import Point, accepts, lists
from codesign.targets.tvm.tir import Function, PrimFunc, Registers, load

SLACK = 1.1  # lists padded to one length may be this much longer
TASKS = 8  # tasks a kernel should have for threads to share


@dataclass(frozen=True)
class Packed:
    """A weight as the kernel reads it; `starts` is None if each list has `count` columns."""

    starts: NDArray[np.int32] | None
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    count: int

    @cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The buffers, in argument order."""
        rest = (self.columns, self.values)
        return rest if self.starts is None else (self.starts, *rest)


def pack(w: NDArray[np.float32], shape: ConvShape, point: Point) -> Packed:
    """The arrays of a weight [OC, IC/groups, k...]."""
    plane, rows = Plane(shape), point.rows
    used = lists(w, rows)
    lengths = -(-used.sum(axis=1) // point.chains) * point.chains
    longest = int(lengths.max(initial=0))
    even = longest * len(lengths) <= SLACK * lengths.sum()
    sizes = np.full_like(lengths, longest) if even else lengths
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = np.zeros(max(int(starts[-1]), 1), np.int32)
    values = np.zeros((columns.size, rows), np.float32)
    flat = np.zeros((len(used) * rows, used.shape[1]), np.float32)
    flat[: w.shape[0]] = w.reshape(w.shape[0], -1)
    offsets = plane.offsets().reshape(-1)
    for i, where in enumerate(used):
        taken = np.flatnonzero(where)
        group = i * rows // shape.group_oc
        at = slice(starts[i], starts[i] + taken.size)
        columns[at] = offsets[taken] + group * shape.group_ic * plane.channel
        columns[at.stop : starts[i + 1]] = group * shape.group_ic * plane.channel
        values[at] = flat[i * rows : (i + 1) * rows, taken].T
    return Packed(None if even else starts.astype(np.int32), columns, values, longest)


def tile(shape: ConvShape, isa: Isa, vectors: int) -> Tile:
    """The largest tile that `vectors` hold; the last ones of a map begin earlier and overlap."""
    plane = Plane(shape)
    (rows, columns), pitch = plane.pixels, plane.pitch
    room = vectors * isa.f32_lanes
    height = min(rows, 1 + max(0, room - columns) // pitch)
    width = min(columns, room)
    span = (height - 1) * pitch + width
    lanes = min(isa.f32_lanes, span)
    starts = tuple(min(v * lanes, span - lanes) for v in range(-(-span // lanes)))
    return Tile(height, width, pitch, lanes, starts, (-(-rows // height), -(-columns // width)))


def emit(
    name: str, frame: Frame, isa: Isa, point: Point, packed: Packed, epilogue: Epilogue
) -> PrimFunc:
    """The kernel: buffers are input, the packed arrays, the epilogue's operands, output."""
    shape = frame.shape
    require(accepts(shape), "sparse", shape, "one or two spatial axes, forward")
    f = Function(name)
    data = f.argument("data", frame.data, "float32")
    arrays = [f.argument(f"weight{i}", a.shape, a.dtype.name) for i, a in enumerate(packed.arrays)]
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", frame.out, epilogue.out_dtype)
    image = frame.image(f, data, isa.f32_lanes)
    work = _Work(f, frame, point, packed, tile(shape, isa, point.vectors), image, tuple(arrays))
    end = End(frame, work.tile, point.rows, epilogue, operands, out)
    high, wide = work.tile.counts
    share = work.share
    with f.parallel(shape.n * high * wide * -(-work.lists // share), "task") as task:
        *at, part = unravel(task, (shape.n, high, wide, -(-work.lists // share)))
        number, y, x = origin = tuple(f.let(tirx.convert(v)) for v in work.origin(*at))
        first = f.let(tirx.convert(part * share))
        stage = end.stage(f)
        with f.serial(tirx.min(share, work.lists - first), "list", first) as i:
            end.fetch(f, i + 1, origin)
            end.keep(f, work.reduce(i, number, y, x), i, i - first, origin, stage)
        end.write(f, first, origin, stage)
    return f.build()


@dataclass(frozen=True)
class _Work:
    """What a task needs to know."""

    f: Function
    frame: Frame
    point: Point
    packed: Packed
    tile: Tile
    image: Buffer
    arrays: tuple[Buffer, ...]

    @property
    def shape(self) -> ConvShape:
        """The problem."""
        return self.frame.shape

    @property
    def lists(self) -> int:
        """Number of lists of columns."""
        return -(-self.shape.oc // self.point.rows)

    @property
    def share(self) -> int:
        """Lists of one task."""
        if isinstance(self.frame, Rows):
            return BAND // self.point.rows
        tasks = self.shape.n * self.tile.counts[0] * self.tile.counts[1]
        return -(-self.lists // min(self.lists, -(-TASKS // tasks)))

    def origin(self, number: Expr, high: Expr, wide: Expr) -> tuple[Expr, Expr, Expr]:
        """(image, row, column) where the tile begins."""
        rows, columns = Plane(self.shape).pixels
        y = tirx.min(high * self.tile.height, rows - self.tile.height)
        return number, y, tirx.min(wide * self.tile.width, columns - self.tile.width)

    def reduce(self, i: Expr, number: Expr, y: Expr, x: Expr) -> Registers:
        """The sums of list `i` in registers [row][vector]."""
        size = self.shape.ic * Plane(self.shape).channel
        base = self.f.let(tirx.convert(number * size + y * self.tile.pitch + x))
        columns, values = self.arrays[-2:]
        lists = Lists(self.f, self.point, self.tile, columns, values, self.image)
        first, steps = self._range(i)
        acc = lists.zeros()
        lists.add(acc, first, steps, base)
        return acc

    def _range(self, i: Expr) -> tuple[Expr, Expr]:
        """First column of list `i` and its number of steps."""
        f, chains = self.f, self.point.chains
        if self.packed.starts is None:
            return i * self.packed.count, self.packed.count // chains
        first = f.let(load(self.arrays[0], (i,)))
        return first, tirx.floordiv(load(self.arrays[0], (i + 1,)) - first, chains)
