"""Maximum pools: of windows that do not overlap, and of windows as they come from a ring."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal

from codesign.targets.xnor.engine import Pool, Reduce
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.form import Form
from codesign.targets.xnor.rtl.parts import Counter, counter, kept, nest


@dataclass(frozen=True)
class Order:
    """How codes are compared, and of which channels the smallest is taken."""

    form: Form
    falling: tuple[bool, ...]

    def better(self, chunk: Any, lanes: int) -> Callable[[int, Any, Any], Any]:
        """The code that stays of two of a lane, in a chunk of the channels."""
        mixed = len(set(self.falling)) > 1
        bits = [Const(int(f), 1) for f in self.falling]

        def falls(lane: int) -> Any:
            mine = bits[lane::lanes] if mixed else bits[:1]
            return mine[0] if len(mine) == 1 else Array(mine)[chunk]

        def pick(lane: int, one: Any, other: Any) -> Any:
            less = self.form.number(one) < self.form.number(other)
            return Mux(less ^ falls(lane), other, one)

        return pick

    def worst(self) -> tuple[int, ...]:
        """For each channel a code that every other replaces."""
        low, high = self.form.least, self.form.most
        return tuple(high if falls else low for falls in self.falling)


def pool(engine: Pool, order: Order, blocks: bool, into: Link, out: Link) -> Module:
    """A word a cycle into the row of results; the last one of a window writes."""
    m, go = Module(), Signal()
    (high, wide), (rows, columns) = engine.kernel, engine.out
    chunks, width = engine.map.channels // engine.lanes, engine.map.width
    chunk, x, y = nest(m, (("chunk", chunks), ("x", width), ("y", engine.map.height)), go)
    pixel, line = go & chunk.last, go & chunk.last & x.last
    kx, ky = _part(m, "kx", wide, pixel, x.last), _part(m, "ky", high, line, y.last)
    place = _place(m, chunks * -(-width // wide), chunks, go, (chunk, kx, x))
    inside = (x.value < columns * wide) & (y.value < rows * high)
    memory = kept(m, "results", chunks * -(-width // wide), into.stream.width, place, blocks)
    begins = (kx.value == 0) & (ky.value == 0)
    word = _merged(order, chunk.value, into, memory.word, begins)
    ends = Signal()
    m.d.comb += [
        ends.eq(inside & kx.last & ky.last),
        go.eq(into.there & (~ends | out.room)),
        into.take.eq(go),
        out.claim.eq(go & ends),
        out.push.eq(go & ends),
        out.given.eq(word),
    ]
    memory.keep(go & inside, word)
    return m


def _part(m: Module, name: str, size: int, go: Any, wraps: Any) -> Counter:
    """A place in a kernel, from 0 again where the map's row or column ends."""
    if size == 1:
        return counter(m, name, 1, go)
    value, last = Signal(range(size), name=name), Signal()
    m.d.comb += last.eq(value == size - 1)
    with m.If(go):
        m.d.sync += value.eq(Mux(last | wraps, 0, value + 1))
    return Counter(value, last, value)


def _place(
    m: Module, depth: int, chunks: int, go: Any, loops: tuple[Counter, Counter, Counter]
) -> Counter:
    """The place in the row of results: the chunks of a window again for each of its pixels."""
    chunk, kx, x = loops
    value, ahead = Signal(range(depth), name="place"), Signal(range(depth))
    back = Mux(x.last, 0, Mux(kx.last, value + 1, value - (chunks - 1)))
    m.d.comb += ahead.eq(Mux(go, Mux(chunk.last, back, value + 1), value))
    m.d.sync += value.eq(ahead)
    return Counter(value, Const(0, 1), ahead)


def _merged(order: Order, chunk: Any, into: Link, kept_word: Any, begins: Any) -> Any:
    bits, better = into.stream.bits, order.better(chunk, into.stream.lanes)
    words = []
    for lane, code in enumerate(into.lanes):
        old = kept_word[lane * bits : (lane + 1) * bits]
        words.append(Mux(begins, code, better(lane, code, old)))
    return Cat(*(_cut(word, bits) for word in words))


def _cut(word: Any, bits: int) -> Any:
    return word[:bits]


def reduce_max(engine: Reduce, order: Order, blocks: bool, into: Link, out: Link) -> Module:
    """`taps` words of each chunk in turn to one; what is padding is left out."""
    m, go = Module(), Signal()
    chunk, tap = nest(m, (("chunk", engine.chunks), ("tap", engine.taps)), go)
    bits, lanes = engine.bits, engine.lanes
    memory = kept(m, "results", engine.chunks, lanes * bits, chunk, blocks)
    better, worst = order.better(chunk.value, lanes), order.worst()
    words = []
    for lane, code in enumerate(into.lanes):
        mine = [Const(w & ((1 << bits) - 1), bits) for w in worst]
        mine = mine[:1] if len(set(worst)) == 1 else mine[lane::lanes]
        least = mine[0] if len(mine) == 1 else Array(mine)[chunk.value]
        old = memory.word[lane * bits : (lane + 1) * bits]
        now = Mux(into.masks[0], least, code)[:bits] if into.stream.masked else code
        words.append(Mux(tap.value == 0, now, better(lane, now, old))[:bits])
    m.d.comb += [
        go.eq(into.there & (~tap.last | out.room)),
        into.take.eq(go),
        out.claim.eq(go & tap.last),
        out.push.eq(go & tap.last),
        out.given.eq(Cat(*words)),
    ]
    memory.keep(go, Cat(*words))
    return m
