"""Tensor trains: ranks, errors, balance, and nests with quantized or sparse cores."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.encodings import (
    NM,
    TT,
    Int,
    Minifloat,
)

FLOATS = st.floats(-1e4, 1e4, width=32)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4), st.data())
def test_full_rank_trains_are_exact(modes: list[tuple[int, int]], data: st.DataObject) -> None:
    sizes = [rows * columns for rows, columns in modes]
    ranks: list[int] = []
    for i in range(len(modes) - 1):
        bound = min((ranks[-1] if ranks else 1) * sizes[i], int(np.prod(sizes[i + 1 :])))
        ranks.append(bound)
    shape = tuple(int(np.prod([mode[i] for mode in modes])) for i in (0, 1))
    x = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-10, 10, width=32)))
    train = TT(tuple(modes), tuple(ranks))
    train.check(shape)
    np.testing.assert_allclose(enc.project((train,), x), x, atol=1e-4)


def test_truncated_trains_are_quasi_optimal() -> None:
    """One cut is the truncated SVD; the error of several stays below the sum of the cuts' tails."""
    random = np.random.default_rng(1)
    x = random.normal(size=(6, 20)).astype(np.float32)
    got = enc.project((TT(((6, 1), (1, 20)), (3,)),), x)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(got, (u[:, :3] * s[:3]) @ vt[:3], atol=1e-5)
    modes, ranks = ((2, 2), (3, 5), (1, 2)), (3, 2)
    error = np.linalg.norm(enc.project((TT(modes, ranks),), x) - x)
    mixed = x.reshape(2, 3, 1, 2, 5, 2).transpose(0, 3, 1, 4, 2, 5)
    tails = [
        np.square(np.linalg.svd(mixed.reshape(rows, -1))[1][rank:]).sum()
        for rows, rank in zip((4, 60), ranks, strict=True)
    ]
    assert error <= np.sqrt(sum(tails)) * 1.0001
    assert error >= np.sqrt(max(tails)) * 0.9999


def test_trains_contract_as_written() -> None:
    """Novikov's eq. 2: W(i, j) is the product of the matrices G_k[i_k, j_k]."""
    random = np.random.default_rng(2)
    train = TT(((2, 3), (3, 2)), (4,))
    values = random.normal(size=train.entries((6, 6))).astype(np.float32)
    first, second = train.cores(values)
    want = np.einsum("aijb,bklc->ikjl", first, second).reshape(6, 6)
    np.testing.assert_allclose(train.decode({"values": values}, (6, 6)), want, rtol=1e-5)


def test_trains_are_balanced() -> None:
    x = np.random.default_rng(3).normal(size=(8, 8)).astype(np.float32) * 100
    train = TT(((2, 2), (2, 2), (2, 2)), (4, 4))
    peaks = [np.abs(core).max() for core in train.cores(train.encode(x)["values"])]
    np.testing.assert_allclose(peaks, peaks[0], rtol=1e-5)
    zero = enc.project((train,), np.zeros((8, 8), np.float32))
    assert not zero.any()


def test_quantized_trains_and_patterns_of_them() -> None:
    x = np.random.default_rng(4).normal(size=(16, 16)).astype(np.float32)
    train = TT(((4, 4), (4, 4)), (16,))
    peak = float(np.abs(train.encode(x)["values"]).max())
    for element, bound in ((Int(16, Const(peak / 32767, "float32")), 1e-3), (Minifloat(), 0.5)):
        assert np.abs(enc.project((train, element), x) - x).max() < bound
    sparse = (train, NM(2, 4, axis=0), Int(8, Const(peak / 127, "float32")))
    enc.check(sparse, x.shape)
    cores = enc.decode(sparse[1:], enc.encode(sparse, x), (512,))
    assert (np.count_nonzero(cores.reshape(-1, 4), axis=1) <= 2).all()
