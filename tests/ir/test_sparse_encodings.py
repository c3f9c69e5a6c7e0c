"""Sparse structures: what they keep, how they store it, what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import bsr_matrix, csr_matrix

from codesign.errors import VerificationError
from codesign.ir import encoding as enc
from codesign.ir.encodings import (
    NM,
    Bitmap,
    Block,
    Csr,
)
from codesign.ir.encodings.sparse import largest, most

FLOATS = st.floats(-1e4, 1e4, width=32)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, (4, 10), elements=FLOATS), st.integers(0, 40))
def test_structures_keep_the_most_energy(x: np.ndarray, count: int) -> None:
    """No other choice of as many elements (runs, blocks) leaves less behind."""
    size = np.sort(np.abs(x).reshape(-1).astype(np.float64))
    for structure in (Csr(count), Bitmap(count)):
        lost = np.abs(x - enc.project((structure,), x)).astype(np.float64)
        assert (np.square(lost)).sum() == pytest.approx(np.square(size[: 40 - count]).sum())
    lost = x - enc.project((NM(3, 5),), x)
    runs = np.sort(np.abs(x.reshape(4, 2, 5)), axis=-1)[..., :2]
    np.testing.assert_array_equal(np.sort(np.abs(lost).reshape(4, 2, 5))[..., -2:], runs)
    blocks = np.square(x.astype(np.float64)).reshape(2, 2, 5, 2).sum(axis=(1, 3)).reshape(-1)
    kept = enc.project((Block((2, 2), min(count, 10)),), x).astype(np.float64)
    most = np.sort(blocks)[::-1][: min(count, 10)].sum()
    assert np.square(kept).sum() == pytest.approx(most)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 4), st.integers(1, 12))
def test_sparse_parts_are_scipys(data: st.DataObject, rows: int, columns: int) -> None:
    few = st.sampled_from([0, 0, 0, 1, -2, 5])
    x = data.draw(hnp.arrays(np.int8, (rows, columns), elements=few))
    want = csr_matrix(x)
    got = Csr(int(np.count_nonzero(x))).encode(x)
    np.testing.assert_array_equal(got["values"], want.data)
    np.testing.assert_array_equal(got["columns"], want.indices)
    np.testing.assert_array_equal(got["rows"], want.indptr)
    even = np.pad(x, ((0, -rows % 2), (0, -columns % 3)))
    blocks = bsr_matrix(even, blocksize=(2, 3))
    blocks.eliminate_zeros()
    blocks.sort_indices()
    got = Block((2, 3), blocks.data.shape[0]).encode(x)
    np.testing.assert_array_equal(got["values"], blocks.data)
    np.testing.assert_array_equal(got["columns"], blocks.indices)
    np.testing.assert_array_equal(got["rows"], blocks.indptr)


def test_n_of_m_by_hand() -> None:
    x = np.array([[0, 3, 0, -4, 5], [1, 0, 0, 0, 0]], np.int8)
    parts = NM(2, 4).encode(x)
    np.testing.assert_array_equal(parts["values"], [[[3, -4], [5, 0]], [[1, 0], [0, 0]]])
    np.testing.assert_array_equal(parts["positions"], [[[1, 3], [0, 1]], [[0, 1], [0, 1]]])
    np.testing.assert_array_equal(NM(2, 4).decode(parts, (2, 5)), x)


def test_structures_refuse_more_than_they_hold() -> None:
    x = np.ones((4, 4), np.int8)
    for structure in (Csr(15), Bitmap(15), Block((2, 2), 3), NM(2, 4), NM(3, 4, axis=0)):
        with pytest.raises(VerificationError):
            structure.encode(x)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.int8, st.integers(0, 30), elements=st.integers(-3, 3)), st.integers(0, 30))
def test_the_first_of_equals_are_kept(x: np.ndarray, count: int) -> None:
    """The linear choice is the one of a stable sort, zeros aside."""
    found = largest(x, count)
    np.testing.assert_array_equal(found & (x != 0), most(np.abs(x), count) & (x != 0))
