"""What all engines are made of: counters, memories that are read ahead, delays, trees of adders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.memory import Memory

Value = Any  # an expression of Amaranth's


@dataclass(frozen=True)
class Counter:
    """`value` now, whether it is the last one, and the value of the next cycle."""

    value: Value
    last: Value
    ahead: Value


def counter(m: Module, name: str, size: int, go: Value) -> Counter:
    """Counts 0 .. size - 1 and from 0 again, one on where `go`."""
    if size == 1:
        return Counter(Const(0, 1), Const(1, 1), Const(0, 1))
    value, ahead, last = Signal(range(size), name=name), Signal(range(size)), Signal()
    m.d.comb += last.eq(value == size - 1)
    m.d.comb += ahead.eq(Mux(go, Mux(last, 0, value + 1), value))
    m.d.sync += value.eq(ahead)
    return Counter(value, last, ahead)


def nest(m: Module, sizes: Sequence[tuple[str, int]], go: Value) -> list[Counter]:
    """Counters of nested loops, the innermost first."""
    found = []
    for name, size in sizes:
        one = counter(m, name, size, go)
        found.append(one)
        go = go & one.last
    return found


def style(block: bool) -> dict[str, str]:
    """Attributes that say where a memory lies."""
    return {"ram_style": "block" if block else "distributed"}


def table(m: Module, name: str, words: Sequence[int], width: int, at: Value, block: bool) -> Value:
    """The word at `at` of a memory that is never written, a cycle later."""
    attrs = {"rom_style": "block" if block else "logic"}
    memory = Memory(shape=width, depth=len(words), init=list(words), attrs=attrs)
    m.submodules[name] = memory
    port = memory.read_port()
    m.d.comb += [port.addr.eq(at), port.en.eq(1)]
    return port.data


@dataclass(frozen=True)
class Kept:
    """A memory of one place at a time: `word` is what it holds there, `keep` writes there."""

    word: Value
    keep: Callable[[Value, Value], None]


def kept(m: Module, name: str, depth: int, width: int, place: Counter, block: bool) -> Kept:
    """A memory whose next place is known a cycle ahead; what is written is there then."""
    enable, given = Signal(), Signal(width)

    def keep(when: Value, what: Value) -> None:
        m.d.comb += [enable.eq(when), given.eq(what)]

    if depth == 1:
        word = Signal(width, name=name)
        with m.If(enable):
            m.d.sync += word.eq(given)
        return Kept(word, keep)
    memory = Memory(shape=width, depth=depth, init=[], attrs=style(block))
    m.submodules[name] = memory
    write = memory.write_port()
    m.d.comb += [write.addr.eq(place.value), write.data.eq(given), write.en.eq(enable)]
    if block:
        read = memory.read_port(transparent_for=(write,))
        m.d.comb += [read.addr.eq(place.ahead), read.en.eq(1)]
    else:
        read = memory.read_port(domain="comb")
        m.d.comb += read.addr.eq(place.value)
    return Kept(read.data, keep)


def delayed(m: Module, value: Value, cycles: int) -> Value:
    """`value` so many cycles later."""
    for _ in range(cycles):
        later = Signal.like(value) if isinstance(value, Signal) else Signal(len(value))
        m.d.sync += later.eq(value)
        value = later
    return value


def total(terms: Sequence[Value]) -> Value:
    """The sum of `terms`, in a tree."""
    left = list(terms)
    while len(left) > 1:
        pairs = [a + b for a, b in zip(left[::2], left[1::2], strict=False)]
        left = pairs + left[len(pairs) * 2 :]
    return left[0]


def ones(bits: Value) -> Value:
    """How many of `bits` are set."""
    return total([bits[i] for i in range(len(bits))])


def all_of(values: Sequence[Value]) -> Value:
    """Whether all are set."""
    return Cat(*values).all()


def pack(values: Sequence[int] | np.ndarray, bits: int) -> int:
    """A word of `values` in `bits` each, two's complement, the first in the lowest bits."""
    mask, found = (1 << bits) - 1, 0
    for i, value in enumerate(values):
        found |= (int(value) & mask) << (i * bits)
    return found


def reach_bits(low: int, high: int) -> int:
    """Bits of a signed number from `low` to `high`."""
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1
