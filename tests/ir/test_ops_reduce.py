from collections.abc import Callable
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import VerificationError
from codesign.ir.ops import order, reduce
from codesign.ir.types import TensorType
from tests.ir.running import f32, i32, normal, results, run

Function = Callable[..., np.ndarray]
NUMPY: list[tuple[type[reduce.Reduce], Function]] = [
    (reduce.ReduceSum, np.sum),
    (reduce.ReduceMean, np.mean),
    (reduce.ReduceMax, np.max),
    (reduce.ReduceMin, np.min),
    (reduce.ReduceProd, np.prod),
    (reduce.ReduceL1, lambda x, **k: np.abs(x).sum(**k)),
    (reduce.ReduceL2, lambda x, **k: np.sqrt((x * x).sum(**k))),
    (reduce.ReduceLogSumExp, lambda x, **k: np.log(np.exp(x).sum(**k))),
    (reduce.ReduceSumSquare, lambda x, **k: (x * x).sum(**k)),
]


@given(
    shape=st.lists(st.integers(1, 4), max_size=4),
    kind=st.sampled_from(NUMPY),
    keep=st.booleans(),
    data=st.data(),
)
def test_reductions_agree_with_numpy(
    shape: list[int],
    kind: tuple[type[reduce.Reduce], Function],
    keep: bool,
    data: st.DataObject,
) -> None:
    chosen = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0)))) if shape else set()
    axes = tuple(sorted(chosen))
    x = normal(*shape)
    expected = kind[1](x, axis=axes, keepdims=keep)
    np.testing.assert_allclose(run(kind[0](axes, keep), x), expected, rtol=1e-4, atol=1e-5)


def test_log_sum() -> None:
    x = np.abs(normal(3, 4))
    np.testing.assert_allclose(
        run(reduce.ReduceLogSum((1,), False), x), np.log(x.sum(1)), rtol=1e-5
    )


def test_reductions_of_nothing() -> None:
    x = np.zeros((2, 0), np.float32)
    assert run(reduce.ReduceSum((1,), False), x).tolist() == [0, 0]
    assert run(reduce.ReduceProd((1,), False), x).tolist() == [1, 1]
    assert run(reduce.ReduceMax((1,), False), x).tolist() == [-np.inf] * 2
    assert run(reduce.ReduceMin((1,), False), x).tolist() == [np.inf] * 2


def test_reductions_keep_integers() -> None:
    x = i32([[1, -2], [4, 5]])
    assert run(reduce.ReduceMean((1,), False), x).tolist() == [0, 4]
    assert run(reduce.ReduceL2((1,), False), x).tolist() == [2, 6]
    assert run(reduce.ReduceSum((0, 1), False), x).tolist() == 8
    assert run(reduce.ReduceMax((0,), False), x > 0).tolist() == [True, True]


def test_axes_must_ascend_within_the_rank() -> None:
    for axes in ((1, 0), (0, 0), (-1,), (2,)):
        with pytest.raises(VerificationError, match="ascending axes"):
            reduce.ReduceSum(axes).infer(TensorType((2, 3)))


@pytest.mark.parametrize("keep", [False, True])
def test_positions_of_extremes(keep: bool) -> None:
    x = f32([[1, 3, 3], [0, 0, -1]])
    ends = [[1], [0]], [[2], [1]], [[0], [2]]
    ops = order.ArgMax(1, keep), order.ArgMax(1, keep, True), order.ArgMin(1, keep)
    for op, expected in zip(ops, ends, strict=True):
        found = run(op, x)
        assert found.dtype == np.int64
        assert found.tolist() == (expected if keep else [e[0] for e in expected])


@given(exclusive=st.booleans(), reverse=st.booleans(), axis=st.integers(0, 2))
def test_cumsum_agrees_with_numpy(exclusive: bool, reverse: bool, axis: int) -> None:
    x = normal(3, 4, 2)
    turned = np.flip(x, axis) if reverse else x
    expected = np.cumsum(turned, axis)
    expected = expected - turned if exclusive else expected
    expected = np.flip(expected, axis) if reverse else expected
    found = run(order.CumSum(axis, exclusive, reverse), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@given(k=st.integers(0, 5), largest=st.booleans(), seed=st.integers(0, 20))
def test_top_k_is_ordered_and_stable(k: int, largest: bool, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 4, (3, 5)).astype(np.float32)
    values, where = results(order.TopK(k, 1, largest), x)
    expected = np.argsort(-x if largest else x, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(where, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, 1))


def test_top_k_needs_enough_elements() -> None:
    with pytest.raises(VerificationError, match="at least 4 elements"):
        order.TopK(4, 1).infer(TensorType((2, 3)))


def test_a_reduction_spans_axes_that_are_apart() -> None:
    x = normal(2, 3, 4, 5)
    found = run(reduce.ReduceMean((1, 3), True), x)
    assert found.shape == (2, 1, 4, 1) and found.size == prod((2, 4))
    np.testing.assert_allclose(found, x.mean((1, 3), keepdims=True), rtol=1e-5, atol=1e-6)
