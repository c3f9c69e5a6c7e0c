"""From sums to codes: a comparison a bit, each with a threshold that the ones before choose."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed

from codesign.targets.xnor.rtl.fifo import plain
from codesign.targets.xnor.rtl.parts import delayed, table


@dataclass(frozen=True)
class Search:
    """Thresholds for codes of `bits`, `width` bits each, and the code of a sum below them all.

    `first` has a word a fold: the middle threshold of each row, above them a bit a row, whether its
    sum counts negated. `later[i - 1][p]`, of row p, the 2^i ones a fold that comparison i chooses
    from.
    """

    bits: int
    low: int
    width: int
    rows: int
    first: tuple[int, ...]
    later: tuple[tuple[tuple[int, ...], ...], ...]
    blocks: tuple[bool, ...]


def search(m: Module, name: str, held: Search, sums: list[Any], fold: Any) -> Any:
    """Codes side by side, `held.bits` cycles after their `sums` (with `fold`)."""
    prefix, folds = f"{plain(name)}_t", len(held.first)
    word = table(m, f"{prefix}0", held.first, held.rows * (held.width + 1), fold, held.blocks[0])
    turned = word[held.rows * held.width :]
    codes = []
    for p, given in enumerate(sums):
        now = Signal(signed(len(given)))
        m.d.sync += now.eq(given)
        number = Signal(signed(len(given)), name=f"{prefix}_sum{p}")
        m.d.comb += number.eq(Mux(turned[p], -now, now))
        bits = [number >= _nth(word, p, held.width)]
        place: Any = delayed(m, fold, 1)
        for level in range(1, held.bits):
            at = Cat(*reversed(bits), place) if folds > 1 else Cat(*reversed(bits))
            words, block = held.later[level - 1][p], held.blocks[level]
            found = table(m, f"{prefix}{level}_{p}", words, held.width, at, block)
            number, bits = delayed(m, number, 1), [delayed(m, bit, 1) for bit in bits]
            place = delayed(m, place, 1)
            bits.append(number >= found.as_signed())
        codes.append((Cat(*reversed(bits)) + held.low)[: held.bits])
    return Cat(*codes)


def _nth(word: Any, p: int, width: int) -> Any:
    return word[p * width : (p + 1) * width].as_signed()
