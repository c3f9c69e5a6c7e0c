"""How a sparse kernel's sums leave the registers: through the epilogue into the output.

Pixels lie next to each other in the output, so that sums are stored as they are. The lines of a
matrix product do not: there the sums of `BAND` columns are staged and written line by line.
"""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from codesign.targets.tvm.epilogue import Buffer, Epilogue, Expr
from codesign.targets.tvm.kernels.sparse_frame import Frame, Rows
from codesign.targets.tvm.tir import Function, Registers, load

BAND = 16
LINE = 16  # floats of a cache line
Origin = tuple[Expr, ...]  # image, row and column where a tile begins


@dataclass(frozen=True)
class Tile:
    """`height` x `width` pixels at once: vectors that may overlap, and how many tiles there are."""

    height: int
    width: int
    pitch: int
    lanes: int
    starts: tuple[int, ...]
    counts: tuple[int, int]


@dataclass(frozen=True)
class End:
    """The end of each list and each task. `rows` output channels come from one list."""

    frame: Frame
    tile: Tile
    rows: int
    epilogue: Epilogue
    operands: tuple[Buffer, ...]
    out: Buffer

    @property
    def staged(self) -> bool:
        """Whether sums are kept until the task ends."""
        return isinstance(self.frame, Rows)

    def stage(self, f: Function) -> Buffer | None:
        """Working memory of a task: [BAND, width]."""
        return f.scratch("stage", (BAND * self.tile.width,), "float32") if self.staged else None

    def keep(
        self, f: Function, acc: Registers, i: Expr, local: Expr, at: Origin, stage: Buffer | None
    ) -> None:
        """Take the sums of list `i`, number `local` of its task."""
        for row in range(self.rows):
            if stage is not None:
                self._stage(f, acc, row, (local * self.rows + row) * self.tile.width, stage)
                continue
            channel = i * self.rows + row
            if self.frame.shape.oc % self.rows:
                with f.when(channel < self.frame.shape.oc):
                    self._pixels(f, acc, row, channel, at)
            else:
                self._pixels(f, acc, row, channel, at)

    def fetch(self, f: Function, i: Expr, at: Origin) -> None:
        """Ask for the cache lines that list `i` will write, and for what it adds to them."""
        if self.staged:
            return
        tile, (number, y, x) = self.tile, at
        shape = [int(extent) for extent in self.out.shape]
        for row in range(self.rows):
            for line in range(tile.height):
                channel = i * self.rows + row
                first = _offset(self.frame.index(number, channel, y + line, x), shape)
                for buffer in (self.out, *self.operands):
                    if [int(extent) for extent in buffer.shape] != shape:
                        continue
                    for start in range(0, tile.width, LINE):
                        f.prefetch(buffer, first + start)

    def write(self, f: Function, first: Expr, at: Origin, stage: Buffer | None) -> None:
        """Write what was staged of a task whose first list is `first`."""
        if stage is None:
            return
        channel, width = f.let(tirx.convert(first * self.rows)), self.frame.shape.oc
        with f.serial(self.tile.width, "line") as line:
            if width >= BAND:
                with f.when(channel + BAND <= width), f.vectorized(BAND) as lane:
                    self._line(f, stage, line, lane, channel, at)
            if width % BAND:
                cut = channel + BAND > width
                with f.when(cut), f.serial(width - channel, "column") as lane:
                    self._line(f, stage, line, lane, channel, at)

    def _line(
        self, f: Function, stage: Buffer, line: Expr, lane: Expr, channel: Expr, at: Origin
    ) -> None:
        value = load(stage, (lane * self.tile.width + line,))
        self._put(f, value, channel + lane, (at[0], at[1], at[2] + line))

    def _stage(self, f: Function, acc: Registers, row: int, offset: Expr, stage: Buffer) -> None:
        for vector, start in enumerate(self.tile.starts):
            value = acc.load(row * len(self.tile.starts) + vector)
            f.store(stage, value, (offset + start,), self.tile.lanes)

    def _pixels(self, f: Function, acc: Registers, row: int, channel: Expr, at: Origin) -> None:
        tile, (number, y, x) = self.tile, at
        first = row * len(tile.starts)
        if tile.height == 1:
            for vector, start in enumerate(tile.starts):
                with _lanes(f, tile.lanes) as lane:
                    value = acc.element(first + vector, lane)
                    self._put(f, value, channel, (number, y, x + start + lane))
            return
        span = f.local("span", (tile.starts[-1] + tile.lanes,), "float32")
        for vector, start in enumerate(tile.starts):
            f.store(span, acc.load(first + vector), (start,), tile.lanes)
        for line in range(tile.height):
            for start in range(0, tile.width, tile.lanes):
                with _lanes(f, min(tile.lanes, tile.width - start)) as lane:
                    value = load(span, (line * tile.pitch + start + lane,))
                    self._put(f, value, channel, (number, y + line, x + start + lane))

    def _put(self, f: Function, value: Expr, channel: Expr, at: Origin) -> None:
        index = self.frame.index(at[0], channel, at[1], at[2])
        f.store(self.out, self.epilogue.apply(value, index, self.operands), index)


def _offset(index: tuple[Expr, ...], shape: list[int]) -> Expr:
    """The linear offset of an index into a buffer of `shape`."""
    offset: Expr = 0
    for place, extent in zip(index, shape, strict=True):
        offset = offset * extent + place
    return offset


def _lanes(f: Function, count: int) -> Any:
    """A vectorized loop; a plain one over a single element."""
    return f.vectorized(count) if count > 1 else f.serial(1)
