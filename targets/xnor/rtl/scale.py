"""Sums of two maps, and means of whole maps: multipliers, a shift, a clamp."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal

from codesign.targets.xnor.content import Scaling
from codesign.targets.xnor.engine import Reduce
from codesign.targets.xnor.rtl.fifo import Link
from codesign.targets.xnor.rtl.form import Form
from codesign.targets.xnor.rtl.parts import all_of, delayed, kept, nest, total


@dataclass(frozen=True)
class Scaled:
    """A scaling, and how the codes of each operand are read."""

    scaling: Scaling
    forms: tuple[Form, ...]


def add(held: Scaled, into: list[Link], out: Link) -> Module:
    """Step t: products; t + 1: their sum, shifted; t + 2: with the zero point, clamped."""
    m, go = Module(), Signal()
    m.d.comb += [
        go.eq(all_of([link.there for link in into]) & out.room),
        *(link.take.eq(go) for link in into),
    ]
    codes = []
    for lane in range(out.stream.lanes):
        products = [
            form.multiple(link.lanes[lane]) * multiplier
            for form, link, multiplier in zip(held.forms, into, held.scaling.multipliers, strict=True)
        ]
        codes.append(_scaled(m, held.scaling, [_kept(m, p) for p in products], out.stream.bits))
    _leave(m, go, codes, out)
    return m


def reduce_mean(engine: Reduce, held: Scaled, blocks: bool, into: Link, out: Link) -> Module:
    """Sums of `taps` words of each chunk; of the last ones, products, then as `add`."""
    m, go = Module(), Signal()
    chunk, tap = nest(m, (("chunk", engine.chunks), ("tap", engine.taps)), go)
    (form,), (multiplier,) = held.forms, held.scaling.multipliers
    bits = engine.taps.bit_length() + form.bits + 1
    memory = kept(m, "sums", engine.chunks, engine.lanes * bits, chunk, blocks)
    sums, codes = [], []
    for lane, code in enumerate(into.lanes):
        old = memory.word[lane * bits : (lane + 1) * bits].as_signed()
        sum_ = (Mux(tap.value == 0, 0, old) + form.multiple(code))[:bits]
        sums.append(sum_)
        product = _kept(m, sum_.as_signed() * multiplier)
        codes.append(_scaled(m, held.scaling, [product], out.stream.bits))
    m.d.comb += [go.eq(into.there & (~tap.last | out.room)), into.take.eq(go)]
    memory.keep(go, Cat(*sums))
    _leave(m, go & tap.last, codes, out)
    return m


def _kept(m: Module, value: Any) -> Any:
    """`value` a cycle later, signed."""
    later = Signal(value.shape())
    m.d.sync += later.eq(value)
    return later


def _scaled(m: Module, scaling: Scaling, products: list[Any], bits: int) -> Any:
    """Codes of products, a cycle later."""
    shifted = _kept(m, (total(products) + (1 << (scaling.shift - 1))) >> scaling.shift)
    moved = shifted + scaling.zero
    low, high = scaling.low, scaling.high
    return Mux(moved < low, low, Mux(moved > high, high, moved))[:bits]


def _leave(m: Module, go: Any, codes: list[Any], out: Link) -> None:
    m.d.comb += [
        out.claim.eq(go),
        out.push.eq(delayed(m, go, 2)),
        out.given.eq(Cat(*codes)),
    ]


