"""Sums of two maps, and means of whole maps: multipliers, a shift, a clamp."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Array, C, Cat, Module, Mux, Signal

from codesign.targets.xnor.content import Scaling
from codesign.targets.xnor.engine import Reduce
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.form import Form
from codesign.targets.xnor.rtl.parts import (
    all_of,
    counter,
    delayed,
    kept,
    nest,
    reach_bits,
    total,
)


@dataclass(frozen=True)
class Scaled:
    """A scaling, and how the codes of each operand are read."""

    scaling: Scaling
    forms: tuple[Form, ...]

    def chunks(self, lanes: int) -> int:
        """Words after which multipliers come again."""
        scaling = self.scaling
        sizes = [a.size for a in (*scaling.multipliers, scaling.offset, scaling.shift)]
        return max(1, max(sizes) // lanes)


def add(held: Scaled, into: list[Link], out: Link) -> Module:
    """Step t: products; t + 1: their sum, shifted; t + 2: with the zero point, clamped."""
    m, go = Module(), Signal()
    m.d.comb += [
        go.eq(all_of([link.there for link in into]) & out.room),
        *(link.take.eq(go) for link in into),
    ]
    chunk = counter(m, "chunk", held.chunks(out.stream.lanes), go).value
    codes = []
    for lane in range(out.stream.lanes):
        given = [
            form.multiple(link.lanes[lane]) for form, link in zip(held.forms, into, strict=True)
        ]
        codes.append(_code(m, held.scaling, given, (chunk, lane), out))
    _leave(m, go, codes, out)
    return m


def reduce_mean(engine: Reduce, held: Scaled, blocks: bool, into: Link, out: Link) -> Module:
    """Sums of `taps` words of each chunk; of the last ones, products, then as `add`."""
    m, go = Module(), Signal()
    chunk, tap = nest(m, (("chunk", engine.chunks), ("tap", engine.taps)), go)
    (form,) = held.forms
    bits = engine.taps.bit_length() + form.bits + 1
    memory = kept(m, "sums", engine.chunks, engine.lanes * bits, chunk, blocks)
    sums, codes = [], []
    for lane, code in enumerate(into.lanes):
        old = memory.word[lane * bits : (lane + 1) * bits].as_signed()
        sums.append((Mux(tap.value == 0, 0, old) + form.multiple(code))[:bits])
        codes.append(_code(m, held.scaling, [sums[-1].as_signed()], (chunk.value, lane), out))
    m.d.comb += [go.eq(into.there & (~tap.last | out.room)), into.take.eq(go)]
    memory.keep(go, Cat(*sums))
    _leave(m, go & tap.last, codes, out)
    return m


def _code(m: Module, scaling: Scaling, given: list[Any], where: tuple[Any, int], out: Link) -> Any:
    """The code of a lane, two cycles after what is `given`; `where`: chunk and lane."""
    (chunk, lane), lanes = where, out.stream.lanes
    products = [
        _kept(m, value * _of(factor, chunk, lane, lanes))
        for value, factor in zip(given, scaling.multipliers, strict=True)
    ]
    later = delayed(m, chunk, 1)
    shift = _of(scaling.shift, later, lane, lanes).as_unsigned()
    shifted = _kept(m, (total(products) + _of(scaling.offset, later, lane, lanes)) >> shift)
    moved, low, high = shifted + scaling.zero, scaling.low, scaling.high
    return Mux(moved < low, low, Mux(moved > high, high, moved))[: out.stream.bits]


def _of(values: np.ndarray, chunk: Any, lane: int, lanes: int) -> Any:
    """A constant of the channel at hand."""
    bits = reach_bits(int(values.min()), int(values.max()))
    found = [_signed(int(v), bits) for v in values.ravel()]
    mine = found[lane::lanes] if len(found) > 1 else found
    return mine[0] if len(mine) == 1 else Array(mine)[chunk]


def _signed(value: int, bits: int) -> Any:
    return C(value & ((1 << bits) - 1), bits).as_signed()


def _kept(m: Module, value: Any) -> Any:
    """`value` a cycle later, as wide and as signed as it is."""
    later = Signal(value.shape())
    m.d.sync += later.eq(value)
    return later


def _leave(m: Module, go: Any, codes: list[Any], out: Link) -> None:
    m.d.comb += [
        out.claim.eq(go),
        out.push.eq(delayed(m, go, 2)),
        out.given.eq(Cat(*codes)),
    ]
