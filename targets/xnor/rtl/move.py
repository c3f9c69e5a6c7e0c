"""Engines that compute nothing: forks, converters of widths, the ports of the host."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from codesign.targets.xnor.engine import Stream, Width
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.parts import all_of, counter


def fork(into: Link, out: list[Link]) -> Module:
    """Each word to all streams at once."""
    m, go = Module(), Signal()
    m.d.comb += [go.eq(into.there & all_of([link.room for link in out])), into.take.eq(go)]
    for link in out:
        m.d.comb += [link.claim.eq(go), link.push.eq(go), link.given.eq(into.word)]
    return m


def width(engine: Width, into: Link, out: Link) -> Module:
    """Words joined or cut; a narrow one a cycle."""
    return _joined(engine, into, out) if engine.up else _cut(engine, into, out)


def _joined(engine: Width, into: Link, out: Link) -> Module:
    m, go = Module(), Signal()
    ratio = engine.wide // engine.narrow
    part = counter(m, "part", ratio, go)
    narrow = into.stream.width
    before = Signal((ratio - 1) * narrow)
    with m.If(go):
        m.d.sync += before.eq(Cat(before, into.word)[narrow:])
    words = [before[i * narrow : (i + 1) * narrow] for i in range(ratio - 1)]
    m.d.comb += [
        go.eq(into.there & (~part.last | out.room)),
        into.take.eq(go),
        out.claim.eq(go & part.last),
        out.push.eq(go & part.last),
        out.given.eq(_side_by_side([*words, into.word], into.stream, out.stream)),
    ]
    return m


def _side_by_side(words: list[Any], one: Stream, made: Stream) -> Any:
    """A wide word: all codes, then the mask."""
    codes = one.lanes * one.bits
    parts = [word[:codes] for word in words]
    return Cat(*parts, *(word[codes:] for word in words)) if made.masked else Cat(*parts)


def _cut(engine: Width, into: Link, out: Link) -> Module:
    m, go = Module(), Signal()
    ratio = engine.wide // engine.narrow
    part = counter(m, "part", ratio, go)
    words = _parts(into, out.stream, ratio)
    rest = [Signal(out.stream.width, name=f"rest{i}") for i in range(ratio - 1)]
    first = part.value == 0
    for i, later in enumerate(rest):
        nearer: Any = rest[i + 1] if i + 1 < len(rest) else later
        with m.If(go):
            m.d.sync += later.eq(Mux(first, words[i + 1], nearer))
    m.d.comb += [
        go.eq((~first | into.there) & out.room),
        into.take.eq(go & first),
        out.claim.eq(go),
        out.push.eq(go),
        out.given.eq(Mux(first, words[0], rest[0])),
    ]
    return m


def _parts(into: Link, made: Stream, ratio: int) -> list[Any]:
    """The narrow words of a wide one, each with the bits of the mask that it needs."""
    found = []
    for i in range(ratio):
        codes = into.lanes[i * made.lanes : (i + 1) * made.lanes]
        mask: list[Any] = []
        if made.masked:
            lanes = range(i * made.lanes, (i + 1) * made.lanes, made.masked)
            mask = [into.masks[lane // into.stream.masked] for lane in lanes]
        found.append(Cat(*codes, *mask))
    return found


def source(pace: int, port: Any, out: Link) -> Module:
    """Words from the host, at most one in `pace` cycles."""
    m, go = Module(), Signal()
    m.d.comb += [
        port.ready.eq(out.room & _rested(m, pace, go)),
        go.eq(port.valid & port.ready),
        out.claim.eq(go),
        out.push.eq(go),
        out.given.eq(port.data),
    ]
    return m


def sink(pace: int, into: Link, port: Any) -> Module:
    """Words to the host, at most one in `pace` cycles."""
    m, go = Module(), Signal()
    m.d.comb += [
        port.valid.eq(into.there & _rested(m, pace, go)),
        port.data.eq(into.word),
        go.eq(port.valid & port.ready),
        into.take.eq(go),
    ]
    return m


def _rested(m: Module, pace: int, go: Any) -> Any:
    """Whether `pace` cycles have gone by since the last step."""
    if pace == 1:
        return Const(1, 1)
    wait = Signal(range(pace))
    m.d.sync += wait.eq(Mux(go, pace - 1, Mux(wait != 0, wait - 1, 0)))
    return wait == 0
