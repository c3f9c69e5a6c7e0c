"""Compressed codes against reading them one after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import RefusedError
from codesign.targets.spatial.simulate.packing import Packed, Packing


@st.composite
def codes(draw: st.DrawFn) -> tuple[Packing, np.ndarray]:
    width, signed = draw(st.integers(2, 16)), draw(st.booleans())
    low = -(1 << (width - 1)) if signed else 0
    zero = draw(st.integers(low, low + (1 << width) - 1))
    run = st.tuples(st.integers(0, 100), st.integers(0, (1 << width) - 1))
    runs = draw(st.lists(run, max_size=9))
    found = [code for run, value in runs for code in [zero] * run + [low + value]]
    tail = [zero] * draw(st.integers(0, 70))
    return Packing(width, zero, low), np.array(found + tail, np.int64)


@settings(deadline=None, max_examples=60)
@given(codes(), st.sampled_from(["rlc", "csc", "bitmap"]))
def test_codes_come_back(case: tuple[Packing, np.ndarray], how: str) -> None:
    packing, given_codes = case
    words, _ = packing.encode(how, given_codes)
    assert np.array_equal(packing.decode(how, words, given_codes.size), given_codes)
    back, size = packing.round_trip(how, given_codes.reshape(1, -1))
    assert np.array_equal(back[0], given_codes)
    assert size.moved <= size.plain == given_codes.size * packing.width


def pairs(fields: list[int], longest: int) -> int:
    """Pairs of a run of at most `longest` zeros and a value, counted one code after the other."""
    count = run = 0
    for field in fields:
        if field or run == longest:
            count, run = count + 1, 0
        else:
            run += 1
    return count + (run > 0)


@settings(deadline=None, max_examples=40)
@given(codes())
def test_bits(case: tuple[Packing, np.ndarray]) -> None:
    packing, given_codes = case
    fields = [int(code) - packing.zero for code in given_codes]
    words = max(1, -(-pairs(fields, 31) // 3))
    assert packing.encode("rlc", given_codes)[1] == words * (3 * (5 + packing.width) + 1)
    singles = max(1, pairs(fields, 15))
    assert packing.encode("csc", given_codes)[1] == singles * (4 + packing.width)
    ones = sum(map(bool, fields)) * packing.width + len(fields)
    assert packing.encode("bitmap", given_codes)[1] == ones


def test_words_of_the_chip_have_64_bits() -> None:
    words, bits = Packing(16).encode("rlc", np.array([0, 0, 12, 0, 0, 0, 0, 53, 0, 22]))
    assert bits == 64
    (word,) = (int(w) for w in words)
    assert word == ((2 << 16 | 12) << 42 | (4 << 16 | 53) << 21 | (1 << 16 | 22)) << 1 | 1


def test_sizes_add_up() -> None:
    assert Packed(3, 2) + Packed(10, 4) == Packed(13, 6)


def test_values_that_are_too_wide_are_refused() -> None:
    with pytest.raises(RefusedError, match="do not fit 64 bits"):
        Packing(17).encode("rlc", np.zeros(3, np.int64))
