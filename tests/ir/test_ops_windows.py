"""Pools and normalizations against torch."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from codesign.errors import VerificationError
from codesign.ir.op import Op
from codesign.ir.ops import norm
from codesign.ir.ops.pool import AvgPool, LpPool, MaxPool, ceil_pads
from codesign.ir.types import TensorType
from tests.ir.running import normal, results, run

Window = tuple[int, int, int, int, int]
windows = st.tuples(
    st.integers(4, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)
)


def _legal(window: Window) -> bool:
    size, kernel, _, pad, dilation = window
    return 2 * pad <= kernel and size + 2 * pad >= dilation * (kernel - 1) + 1


@given(rows=windows, columns=windows, ceil=st.booleans())
def test_max_pool_agrees_with_torch(rows: Window, columns: Window, ceil: bool) -> None:
    assume(_legal(rows) and _legal(columns))
    sizes, kernel, strides, pads, dilations = zip(rows, columns, strict=True)
    x = normal(2, 3, *sizes)
    expected, where = F.max_pool2d(
        torch.from_numpy(x), kernel, strides, pads, dilations, ceil, return_indices=True
    )
    even = tuple((p, p) for p in pads)
    if ceil:
        even = tuple(map(ceil_pads, sizes, kernel, strides, even, dilations))
    op = MaxPool(kernel, strides, even, dilations, indices=True)
    found, positions = results(op, x)
    np.testing.assert_array_equal(found, expected.numpy())
    np.testing.assert_array_equal(positions % (sizes[0] * sizes[1]), where.numpy())
    np.testing.assert_array_equal(x.reshape(-1)[positions], found)


@given(rows=windows, columns=windows, counted=st.booleans())
def test_avg_pool_agrees_with_torch(rows: Window, columns: Window, counted: bool) -> None:
    rows, columns = (*rows[:4], 1), (*columns[:4], 1)
    assume(_legal(rows) and _legal(columns))
    sizes, kernel, strides, pads, dilations = zip(rows, columns, strict=True)
    x = normal(2, 3, *sizes)
    expected = F.avg_pool2d(torch.from_numpy(x), kernel, strides, pads, count_include_pad=counted)
    even = tuple((p, p) for p in pads)
    found = run(AvgPool(kernel, strides, even, dilations, counted), x)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counted", [False, True])
def test_dilated_avg_pool_is_the_mean_of_its_taps(counted: bool) -> None:
    x = normal(1, 1, 6, 7)
    op = AvgPool((2, 3), (2, 1), ((1, 0), (0, 2)), (2, 2), counted)
    found = run(op, x)
    for row, column in product(range(found.shape[2]), range(found.shape[3])):
        taps = [
            x[0, 0, y, z]
            for y in (2 * row - 1, 2 * row + 1)
            for z in (column, column + 2, column + 4)
            if 0 <= y < 6 and z < 7
        ]
        expected = sum(taps) / (6 if counted else len(taps))
        assert found[0, 0, row, column] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_pools_over_other_ranks(rank: int) -> None:
    x = normal(2, 3, *[6, 7, 5][:rank])
    three, two, one = (3,) * rank, (2,) * rank, (1,) * rank
    pads = ((1, 1),) * rank
    t = torch.from_numpy(x)
    expected = getattr(F, f"max_pool{rank}d")(t, 3, 2, 1).numpy()
    np.testing.assert_array_equal(run(MaxPool(three, two, pads, one), x), expected)
    expected = getattr(F, f"avg_pool{rank}d")(t, 3, 2, 1, count_include_pad=False).numpy()
    found = run(AvgPool(three, two, pads, one), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_max_pool_of_integers() -> None:
    x = np.arange(-8, 8, dtype=np.int8).reshape(1, 1, 4, 4)
    assert run(MaxPool((2, 2), (2, 2), pads=((1, 1), (1, 1))), x)[0, 0].tolist() == [
        [-8, -6, -5],
        [0, 2, 3],
        [4, 6, 7],
    ]


def test_lp_pool_agrees_with_torch() -> None:
    x = normal(1, 2, 6, 6)
    expected = F.lp_pool2d(torch.from_numpy(x).abs(), 3.0, (2, 2), 2).numpy()
    np.testing.assert_allclose(run(LpPool((2, 2), (2, 2), p=3.0), x), expected, rtol=1e-4)


def test_a_window_larger_than_its_input_is_refused() -> None:
    with pytest.raises(VerificationError, match="larger than its padded input"):
        MaxPool((5, 5)).infer(TensorType((1, 1, 4, 4)))
    with pytest.raises(VerificationError, match="over 1 axes"):
        MaxPool((2,), (1,), ((0, 0),), (1,)).infer(TensorType((1, 1, 4, 4)))


def test_batch_norm_agrees_with_torch() -> None:
    x, c = normal(2, 4, 3, 5), [normal(4, seed=i) for i in range(3)]
    var = np.abs(normal(4, seed=4)) + 0.1
    t, mean, variance, scale, bias = map(torch.from_numpy, (x, c[2], var, c[0], c[1]))
    expected = F.batch_norm(t, mean, variance, scale, bias, training=False, eps=1e-3).numpy()
    found = run(norm.BatchNorm(1e-3), x, c[0], c[1], c[2], var)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affine", [False, True])
def test_norms_agree_with_torch(affine: bool) -> None:
    x = normal(2, 6, 3, 4)
    t = torch.from_numpy(x)

    def check(op: Op, shape: tuple[int, ...], expected: Callable[..., torch.Tensor]) -> None:
        arrays = [normal(*shape, seed=i) for i in (5, 6)] if affine else []
        scale, bias = map(torch.from_numpy, arrays) if affine else (None, None)
        found = run(op, x, *arrays[: len(op.roles) - 1])
        np.testing.assert_allclose(found, expected(scale, bias).numpy(), rtol=1e-4, atol=1e-5)

    check(norm.LayerNorm(2), (3, 4), lambda w, b: F.layer_norm(t, (3, 4), w, b))
    check(norm.RmsNorm(2, 1e-3), (3, 4), lambda w, _: F.rms_norm(t, (3, 4), w, 1e-3))
    check(norm.GroupNorm(3), (6,), lambda w, b: F.group_norm(t, 3, w, b))
    check(norm.InstanceNorm(), (6,), lambda w, b: F.instance_norm(t, weight=w, bias=b))


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_lrn_agrees_with_torch(size: int) -> None:
    x = normal(2, 7, 3, 3)
    expected = F.local_response_norm(torch.from_numpy(x), size, 0.02, 0.6, 2.0).numpy()
    if size % 2:
        np.testing.assert_allclose(run(norm.Lrn(size, 0.02, 0.6, 2.0), x), expected, rtol=1e-5)
    # ONNX puts the larger half of an even window after the channel, torch before.
    flipped = run(norm.Lrn(size, 0.02, 0.6, 2.0), np.ascontiguousarray(x[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(flipped, expected, rtol=1e-5)


@pytest.mark.parametrize("p", [1, 2])
def test_lp_norm_divides_and_keeps_zeros(p: int) -> None:
    x = normal(3, 4)
    x[1] = 0
    expected = F.normalize(torch.from_numpy(x), p, 1).numpy()
    np.testing.assert_allclose(run(norm.LpNorm(1, p), x), expected, rtol=1e-5)


def test_norms_refuse_weights_of_another_shape() -> None:
    with pytest.raises(VerificationError, match=r"needs scale of shape \(4,\)"):
        norm.LayerNorm(1).infer(TensorType((2, 4)), TensorType((3,)))
    four = TensorType((4,))
    with pytest.raises(VerificationError, match=r"needs var of shape \(4,\)"):
        norm.BatchNorm().infer(TensorType((2, 4)), four, four, four, TensorType((3,)))
    with pytest.raises(VerificationError, match="3 groups divide"):
        norm.GroupNorm(3).infer(TensorType((2, 4, 2)))
