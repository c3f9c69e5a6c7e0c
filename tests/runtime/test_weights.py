"""Stored weights come back bit for bit, and small codes take few bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import ArtifactError
from codesign.runtime.weights import dump_weights, integer_bits, load_weights

KINDS = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float32", "bool"]


@given(st.sampled_from(KINDS), st.integers(0, 3000), st.floats(0, 1), st.integers(0, 2**31))
def test_arrays_come_back_bit_for_bit(kind: str, count: int, zeros: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    dtype = np.dtype(kind)
    raw = random.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).view(np.uint8)
    array = (raw & 1).astype(bool) if kind == "bool" else raw.view(dtype)
    array = np.where(random.random(array.shape) < zeros, np.zeros((), dtype), array)
    found = load_weights(*dump_weights({"w": array, "one": np.ones(1, np.int32)}))
    assert set(found) == {"w", "one"}
    assert found["w"].dtype == array.dtype and found["w"].shape == array.shape
    assert found["w"].tobytes() == array.tobytes()


@given(hnp.arrays(st.sampled_from(["int8", "int32", "uint16", "int64"]), st.integers(1, 20)))
def test_integer_bits_are_enough_and_one_less_is_not(array: np.ndarray) -> None:
    bits = integer_bits(array)
    signed = array.dtype.kind == "i"

    def fits(width: int) -> bool:
        low, high = (
            (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        )
        return low <= int(array.min()) and int(array.max()) <= high

    assert fits(bits)
    assert bits == 1 or bits == array.dtype.itemsize * 8 or not fits(bits - 1)


def test_four_bit_codes_take_half_and_sparse_floats_little() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(-8, 8, (256, 256), dtype=np.int8)
    sparse = np.where(random.random((256, 256)) < 0.9, 0, random.standard_normal((256, 256)))
    plain = random.standard_normal((256, 256)).astype(np.float32)

    def stored(array: np.ndarray) -> int:
        return len(dump_weights({"w": array})[0])

    assert stored(codes) < codes.nbytes * 0.52
    assert stored(sparse.astype(np.float32)) < plain.nbytes * 0.14
    assert stored(plain) < plain.nbytes + 200


def test_the_file_is_safetensors() -> None:
    from safetensors.numpy import load

    arrays = {
        kind: np.arange(6).reshape(2, 3).astype(kind)
        for kind in (*KINDS, "uint16", "float16", "float64")
    }
    content, ways = dump_weights({**arrays, "none": np.zeros((0, 4), np.float32)})
    assert ways == {}
    theirs, ours = load(content), load_weights(content, ways)
    assert set(theirs) == set(ours)
    for name, array in theirs.items():
        assert ours[name].dtype == array.dtype
        np.testing.assert_array_equal(ours[name], array)


def test_damaged_descriptions_are_refused() -> None:
    content, ways = dump_weights({"w": np.zeros(5000, np.int8)})
    for wrong in (
        {"w": {**ways["w"], "shape": [7]}},
        {"w": {**ways["w"], "bits": 99}},
        {"v": ways["w"]},
        {"w": {"surprise": 1}},
    ):
        with pytest.raises(ArtifactError, match="weights cannot be read"):
            load_weights(content, wrong)
    with pytest.raises(ArtifactError, match="weights cannot be read"):
        load_weights(content[:20], ways)
