"""The sliding window: a ring of rows, written at one port and read at the other."""

from collections import Counter as Tally
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.memory import Memory

from codesign.targets.xnor.engine import Window
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.parts import (
    Counter,
    counter,
    delayed,
    nest,
    reach_bits,
    style,
)


def window(engine: Window, blocks: bool, into: Link, out: Link) -> Module:
    """Fills the ring as rows of it are free, and reads the words of each window as they are there.

    `blocks` says whether the ring lies in blocks of RAM.
    """
    m = Module()
    ring = engine.rows * engine.map.width * engine.chunks
    memory = Memory(shape=into.stream.width, depth=ring, init=[], attrs=style(blocks))
    m.submodules.ring = memory
    read, fill, row = Signal(name="read"), Signal(name="fill"), Signal(name="row_left")
    loops = _loops(m, engine, read)
    m.d.comb += row.eq(read & _ended(loops[:-1]))
    _fill(m, engine, memory, into, fill, row, loops[-1].value)
    walk = _Walk(m, engine, read, loops)
    here = _here(m, engine, fill, row & loops[-1].last)
    m.d.comb += [
        read.eq(out.room & (~walk.inside | (here > walk.index))),
        out.claim.eq(read),
        out.push.eq(delayed(m, read, 1)),
    ]
    port = memory.read_port()
    m.d.comb += [port.addr.eq(walk.address), port.en.eq(read)]
    padding = [delayed(m, ~walk.inside, 1)] if out.stream.masked else []
    m.d.comb += out.given.eq(Cat(port.data, *padding))
    return m


def _loops(m: Module, engine: Window, go: Any) -> list[Counter]:
    (rows, columns), (high, wide) = engine.out, engine.kernel
    names = ("chunk", "kx", "ky", "ox", "oy")
    return nest(m, list(zip(names, (engine.chunks, wide, high, columns, rows), strict=True)), go)


def _ended(loops: list[Counter]) -> Any:
    return Cat(*(loop.last for loop in loops)).all()


def _fill(
    m: Module, engine: Window, memory: Any, into: Link, fill: Any, left: Any, oy: Any
) -> None:
    """Writes words as they come, where a row of the ring is free of windows to come."""
    per_row = engine.map.width * engine.chunks
    column = counter(m, "column", per_row, fill)
    most = engine.rows + engine.map.height
    free, freed = Signal(range(most + 1), init=engine.rows), Signal(range(engine.map.height + 1))
    m.d.comb += fill.eq(into.there & (free != 0))
    m.d.comb += into.take.eq(fill)
    m.d.comb += freed.eq(_by_row(m, engine, oy))
    m.d.sync += free.eq(free - (fill & column.last) + Mux(left, freed, 0))
    place = counter(m, "place", per_row * engine.rows, fill)
    port = memory.write_port()
    m.d.comb += [port.addr.eq(place.value), port.data.eq(into.word), port.en.eq(fill)]


def freed_rows(engine: Window) -> list[int]:
    """How many rows of the map each row of windows frees when the last of it has left."""
    top = [
        min(engine.map.height, max(0, (oy + 1) * engine.strides[0] - engine.pads[0][0]))
        for oy in range(engine.out[0])
    ]
    top[-1] = engine.map.height
    return [after - before for before, after in zip([0, *top], top, strict=False)]


def _by_row(m: Module, engine: Window, oy: Any) -> Any:
    """What a row of windows frees, by its number."""
    count = freed_rows(engine)
    usual = Tally(count).most_common(1)[0][0]
    found = Signal(range(engine.map.height + 1))
    m.d.comb += found.eq(usual)
    for row, rows in enumerate(count):
        if rows != usual:
            with m.If(oy == row):
                m.d.comb += found.eq(rows)
    return found


def _here(m: Module, engine: Window, fill: Any, ends: Any) -> Any:
    """Words written of the image that is read, or of those behind it."""
    ring = engine.rows * engine.map.width * engine.chunks
    here = Signal(signed(reach_bits(-engine.written, engine.written + ring)), name="here")
    m.d.sync += here.eq(here + fill - Mux(ends, engine.written, 0))
    return here


class _Walk:
    """Where the word to leave lies: its row, column, number in the map, address in the ring.

    Each moves by one of a few distances, of the outermost loop that goes on.
    """

    def __init__(self, m: Module, engine: Window, go: Any, loops: list[Counter]) -> None:
        self.m, self.go, self.loops, self.engine = m, go, loops, engine
        height, width, chunks = engine.map.height, engine.map.width, engine.chunks
        (sy, sx), (dy, dx) = engine.strides, engine.dilations
        top, left = engine.pads[0][0], engine.pads[1][0]
        y = self._moving("y", -top, (0, 0, dy, 0, sy))
        x = self._moving("x", -left, (0, dx, 0, sx, 0))
        moves = (1, dx * chunks, dy * width * chunks, sx * chunks, sy * width * chunks)
        begin = (-top * width - left) * chunks
        self.index = self._moving("index", begin, moves)
        self.address = self._turning(begin, moves)
        self.inside = Signal()
        m.d.comb += self.inside.eq((y >= 0) & (y < height) & (x >= 0) & (x < width))

    def _distances(self, moves: tuple[int, ...]) -> tuple[list[int], int]:
        """How far it is to the next word, by the loop that goes on; from first to last."""
        found, back = [], 0
        for move, size in zip(moves, self._sizes(), strict=True):
            found.append(move - back)
            back += move * (size - 1)
        return found, back

    def _sizes(self) -> tuple[int, ...]:
        (rows, columns), (high, wide) = self.engine.out, self.engine.kernel
        return self.engine.chunks, wide, high, columns, rows

    def _chosen(self, distances: list[int], again: int) -> Any:
        """The distance of the outermost loop that goes on; `again` where an image ends."""
        value: Any = again
        for loop, distance in reversed(list(zip(self.loops, distances, strict=True))):
            value = Mux(loop.last, value, distance)
        return value

    def _moving(self, name: str, begin: int, moves: tuple[int, ...]) -> Any:
        distances, back = self._distances(moves)
        bits = reach_bits(min(begin, 0), max(begin + back, 1))
        value = Signal(signed(bits), name=name, init=begin)
        with self.m.If(self.go):
            self.m.d.sync += value.eq(value + self._chosen(distances, -back))
        return value

    def _turning(self, begin: int, moves: tuple[int, ...]) -> Any:
        """The same around the ring; behind an image comes the next one."""
        engine = self.engine
        ring = engine.rows * engine.map.width * engine.chunks
        distances, back = self._distances(moves)
        turned = [distance % ring for distance in distances]
        value = Signal(range(ring), name="address", init=begin % ring)
        total = Signal(range(2 * ring))
        self.m.d.comb += total.eq(value + self._chosen(turned, (engine.written - back) % ring))
        with self.m.If(self.go):
            self.m.d.sync += value.eq(Mux(total >= ring, total - ring, total))
        return value
