"""Packed codes are exact and as short as promised; entropy against a Huffman code."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import InvalidModelError, VerificationError
from codesign.ir.packing import entropy_bits, pack, packed_size, unpack


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 32), st.booleans(), st.integers(0, 40))
def test_round_trip(data: st.DataObject, bits: int, signed: bool, count: int) -> None:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    least = 8 if bits <= 8 else 16 if bits <= 16 else 32
    dtype = f"{'int' if signed else 'uint'}{data.draw(st.sampled_from([least, 64]))}"
    codes = data.draw(hnp.arrays(dtype, count, elements=st.integers(low, high)))
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.size == packed_size(count, bits) == -(-count * bits // 8)
    np.testing.assert_array_equal(unpack(packed, bits, (count,), dtype), codes)
    stream = sum((int(code) % (1 << bits)) << (i * bits) for i, code in enumerate(codes))
    assert int.from_bytes(packed.tobytes(), "little") == stream


@pytest.mark.parametrize("bits", [3, 12])
def test_more_than_a_chunk(bits: int) -> None:
    codes = np.random.default_rng(0).integers(0, 1 << bits, (3, 700_001)).astype(np.uint16)
    packed = pack(codes, bits)
    np.testing.assert_array_equal(unpack(packed, bits, codes.shape, np.uint16), codes)


def test_shapes() -> None:
    for shape in ((), (0,), (2, 0, 3), (1,), (2, 3)):
        codes = np.ones(shape, np.int8)
        assert unpack(pack(codes, 5), 5, shape, np.int8).shape == shape


def test_refusals() -> None:
    for codes, bits in (
        (np.array([8], np.int8), 4),
        (np.array([-9], np.int8), 4),
        (np.array([2], np.uint8), 1),
        (np.array([1.0]), 8),
        (np.array([1], np.int8), 0),
        (np.array([1], np.int64), 33),
        (np.array([1], np.int8), 9),
    ):
        with pytest.raises(VerificationError):
            pack(codes, bits)
    with pytest.raises(InvalidModelError, match="take 2 bytes, not 3"):
        unpack(np.zeros(3, np.uint8), 4, (3,), np.uint8)


def huffman_bits(counts: list[int]) -> int:
    """Bits of an optimal prefix code: the sum of the merged weights."""
    heap, total = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.int8, st.integers(1, 200), elements=st.integers(-5, 5)))
def test_entropy_bounds_huffman(codes: np.ndarray) -> None:
    counts = np.unique(codes, return_counts=True)[1].tolist()
    entropy, prefix = entropy_bits(codes), huffman_bits(counts)
    assert entropy <= prefix + 1e-6
    assert prefix < entropy + codes.size


def test_entropy_by_hand() -> None:
    assert entropy_bits(np.zeros(0, np.int8)) == 0
    assert entropy_bits(np.zeros((5, 5), np.int8)) == 0
    assert entropy_bits(np.arange(256)) == 256 * 8
    assert entropy_bits(np.array([0, 0, 1, 2])) == pytest.approx(6)
