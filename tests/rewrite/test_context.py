"""Data that passes ask for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.rewrite.context import Dataset


@given(st.integers(1, 40), st.integers(1, 12))
def test_halves_are_whole_batches(size: int, batch: int) -> None:
    data = Dataset({"x": np.arange(size)})
    first, second = (one.inputs["x"] for one in data.halves(batch))
    if size < 2 * batch:
        assert len(first) == len(second) == size
        return
    assert np.array_equal(np.concatenate([first, second]), np.arange(size))
    assert len(first) % batch == 0 and batch <= len(first) <= len(second) <= len(first) + 2 * batch


@given(st.integers(1, 40), st.integers(1, 50))
def test_some_samples_come_from_all_over(size: int, count: int) -> None:
    data = Dataset({"x": np.arange(size)}, np.arange(size) * 2)
    found = data.spread(count)
    chosen = found.inputs["x"]
    assert found.labels is not None and np.array_equal(found.labels, chosen * 2)
    assert found.size == min(size, count) == len(set(chosen)) and chosen[0] == 0
    gaps = np.diff([*chosen, size])
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
