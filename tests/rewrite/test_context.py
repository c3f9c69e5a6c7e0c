"""Data that passes ask for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.rewrite.context import Dataset


@given(st.integers(1, 40), st.integers(1, 50))
def test_some_samples_come_from_all_over(size: int, count: int) -> None:
    data = Dataset({"x": np.arange(size)}, np.arange(size) * 2)
    found = data.spread(count)
    chosen = found.inputs["x"]
    assert found.labels is not None and np.array_equal(found.labels, chosen * 2)
    assert found.size == min(size, count) == len(set(chosen)) and chosen[0] == 0
    gaps = np.diff([*chosen, size])
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
