"""Compressed operands: run lengths of zeros, and a bit an element.

`rlc`: pairs of a 5-bit run of zeros and the value after it, three to a word whose last bit says
whether it is the last (Chen et al., "Eyeriss", IEEE JSSC 2017, section IV); with values of 16 bits
a word has 64. `csc`: pairs of a 4-bit run and a value (Chen et al., "Eyeriss v2", JETCAS 2019),
without the pointers to columns. `bitmap`: a bit an element and the values that are not zero. A run
that is too long for its bits goes on behind a value of zero.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import RefusedError

Codes = NDArray[Any]
Words = NDArray[np.uint64]
RUNS = {"rlc": (5, 3, 1), "csc": (4, 1, 0)}  # bits of a run, pairs a word, bits beside them


@dataclass(frozen=True)
class Packed:
    """Bits of elements as they are (`plain`) and as they were moved, compressed where it pays."""

    plain: int
    moved: int

    def __add__(self, other: "Packed") -> "Packed":
        return Packed(self.plain + other.plain, self.moved + other.moved)


@dataclass(frozen=True)
class Packing:
    """Codes of `width` bits from `low` on, of which `zero` stands for zero."""

    width: int
    zero: int = 0
    low: int = 0

    def encode(self, how: str, codes: Codes) -> tuple[Words, int]:
        """(words, bits) of `codes`, in the order of their memory."""
        fields = self._fields(codes)
        if how == "bitmap":
            return self._mapped(fields)
        runs, pairs, extra = self._form(how)
        return self._words(*_pairs(fields, 1 << runs), runs, pairs, extra)

    def decode(self, how: str, words: Words, count: int) -> Codes:
        """The `count` codes that `words` hold, as int64 [count]."""
        fields = self._unmapped(words, count) if how == "bitmap" else self._run(how, words, count)
        return (fields.astype(np.int64) + self.zero - self.low) % (1 << self.width) + self.low

    def round_trip(self, how: str, codes: Codes) -> tuple[Codes, Packed]:
        """`codes` as they come back from their compressed form, and what moved."""
        words, bits = self.encode(how, codes)
        plain = codes.size * self.width
        back = self.decode(how, words, codes.size).reshape(codes.shape)
        return back.astype(codes.dtype), Packed(plain, min(plain, bits))

    def _form(self, how: str) -> tuple[int, int, int]:
        runs, pairs, extra = RUNS[how]
        if pairs * (runs + self.width) + extra > 64:
            raise RefusedError(
                f"{how} packs {pairs} values a word, and those of {self.width} bits do not fit "
                "64 bits; take narrower codes or leave `packed` out"
            )
        return runs, pairs, extra

    def _fields(self, codes: Codes) -> Words:
        """Codes less zero, as unsigned numbers of `width` bits."""
        found = (codes.reshape(-1).astype(np.int64) - self.zero) & ((1 << self.width) - 1)
        return found.astype(np.uint64)

    def _words(
        self, runs: Words, values: Words, width: int, pairs: int, extra: int
    ) -> tuple[Words, int]:
        count = max(1, -(-len(runs) // pairs))
        size = width + self.width
        found = np.zeros(count * pairs, np.uint64)
        found[: len(runs)] = runs << np.uint64(self.width) | values
        words = np.zeros(count, np.uint64)
        for column in found.reshape(count, pairs).T:
            words = words << np.uint64(size) | column
        if extra:
            words = words << np.uint64(1)
            words[-1] |= np.uint64(1)
        return words, count * (pairs * size + extra)

    def _run(self, how: str, words: Words, count: int) -> Words:
        """The fields of runs and values; what fills up the last word lies behind the last one."""
        width, pairs, extra = self._form(how)
        size = width + self.width
        shifts = [np.uint64(extra + size * n) for n in reversed(range(pairs))]
        found = np.stack([words >> s for s in shifts], 1).reshape(-1)
        values = found & np.uint64((1 << self.width) - 1)
        runs = (found >> np.uint64(self.width)) & np.uint64((1 << width) - 1)
        places = np.cumsum(runs.astype(np.int64) + 1) - 1
        fields = np.zeros(count, np.uint64)
        real = places < count
        fields[places[real]] = values[real]
        return fields

    def _mapped(self, fields: Words) -> tuple[Words, int]:
        present = fields != 0
        bits = np.packbits(present, bitorder="little")
        bits = np.pad(bits, (0, -len(bits) % 8))
        values = fields[present]
        return np.concatenate([bits.view(np.uint64), values]), (
            len(fields) + len(values) * self.width
        )

    def _unmapped(self, words: Words, count: int) -> Words:
        head = -(-count // 64)
        present = np.unpackbits(words[:head].view(np.uint8), bitorder="little")[:count] > 0
        fields = np.zeros(count, np.uint64)
        fields[present] = words[head:]
        return fields


def _pairs(fields: Words, longest: int) -> tuple[Words, Words]:
    """Runs and values; zeros fill whole pairs of `longest` elements, the last of which is one."""
    there = np.flatnonzero(fields)
    ends = np.append(there, len(fields))
    gaps = np.diff(ends, prepend=-1) - 1
    whole, rest = np.divmod(gaps, longest)
    tail = rest[-1] > 0
    counts = whole + 1
    counts[-1] = whole[-1] + tail
    last = np.cumsum(counts) - 1
    runs = np.full(int(counts.sum()), longest - 1, np.uint64)
    values = np.zeros(len(runs), np.uint64)
    runs[last[:-1]] = rest[:-1]
    values[last[:-1]] = fields[there]
    if tail:
        runs[-1] = rest[-1] - 1
    return runs, values
