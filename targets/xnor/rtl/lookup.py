"""Codes by codes: a memory for each lane."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from codesign.targets.xnor.area import cheapest
from codesign.targets.xnor.engine import Table
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.parts import all_of, counter, delayed, pack, table


def lookup(engine: Table, held: tuple[Any, ...], into: Link, out: list[Link]) -> Module:
    """Step t reads the memories, and the codes leave in t + 1. `held`: [keys, 2^bits] a head."""
    m, go = Module(), Signal()
    shared = engine.keys == 1
    chunk = counter(m, "chunk", 1 if shared else engine.keys // engine.lanes, go)
    m.d.comb += [
        go.eq(into.there & all_of([link.room for link in out])),
        into.take.eq(go),
    ]
    found: list[list[Any]] = [[] for _ in out]
    for lane, code in enumerate(into.lanes):
        words = _words(engine, held, lane)
        deep = len(words) > 1 << engine.bits
        at = Cat(code, chunk.value) if deep else code
        blocks = cheapest(len(words), sum(engine.levels)).bram18 > 0
        word, low = table(m, f"table{lane}", words, sum(engine.levels), at, blocks), 0
        for made, bits in zip(found, engine.levels, strict=True):
            made.append(word[low : low + bits])
            low += bits
    for link, made in zip(out, found, strict=True):
        m.d.comb += [
            link.claim.eq(go),
            link.push.eq(delayed(m, go, 1)),
            link.given.eq(Cat(*made)),
        ]
    return m


def _words(engine: Table, held: tuple[Any, ...], lane: int) -> list[int]:
    """The memory of a lane: all heads side by side, of each of its channels in turn."""
    keys = [0] if engine.keys == 1 else range(lane, engine.keys, engine.lanes)
    words = []
    for key in keys:
        for code in range(1 << engine.bits):
            word, low = 0, 0
            for head, bits in zip(held, engine.levels, strict=True):
                word |= pack([head[key, code]], bits) << low
                low += bits
            words.append(word)
    return words
