"""Pools and reductions on the CPU against torch, on the plain and on the blocked layout."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.pool import AvgPool, LpPool, MaxPool
from codesign.ir.ops.reduce import ReduceMax, ReduceMean
from codesign.ir.ops.shape import Flatten
from codesign.targets.tvm.kernels.fold import FOLDS
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net, f32, make

POINTWISE = Conv((1, 1), ((0, 0), (0, 0)))


def _blocked(net: Net, n: int, channels: int, *pixels: int) -> str:
    """A value that a convolution leaves in the blocked layout."""
    zero = ((0, 0),) * len(pixels)
    conv = Conv((1,) * len(pixels), zero, (1,) * len(pixels))
    ones = (1,) * len(pixels)
    return net.op(conv, net.normal(n, 16, *pixels), net.weight(channels, 16, *ones))


@pytest.mark.parametrize("isa", ["host", "x86"])
def test_pools_of_both_layouts(isa: str) -> None:
    net = Net()
    for x in (_blocked(net, 2, 24, 19, 23), net.normal(2, 3, 19, 23)):
        for pool in (
            MaxPool((3, 3), (2, 2), ((1, 1), (1, 1))),
            MaxPool((5, 5), (1, 1), ((2, 2), (2, 2))),
            AvgPool((3, 3), (2, 2), ((1, 1), (1, 1))),
            AvgPool((2, 2), (2, 2), ((0, 1), (0, 1)), count_include_pad=True),
            AvgPool((7, 6), (1, 3), ((3, 3), (5, 0)), (2, 1)),
            LpPool((3, 2), (2, 2), ((1, 0), (0, 1))),
            LpPool((2, 2), (1, 2), ((0, 0), (0, 0)), p=3.0),
        ):
            net.returns(net.op(pool, x), 1e-5)
    x = _blocked(net, 1, 16, 12, 12)
    net.returns(
        net.op(Relu(), net.op(Add(), net.op(AvgPool((2, 2), (2, 2)), x), net.weight(16, 1, 1)))
    )
    net.check(Cpu(isa), {"pool": 15})


def test_pools_of_other_ranks_and_types() -> None:
    net = Net()
    line, volume = net.normal(2, 5, 33), net.normal(1, 3, 6, 7, 8)
    net.returns(net.op(MaxPool((4,), (3,), ((2, 1),), (2,)), line))
    net.returns(net.op(AvgPool((4,), (3,), ((2, 1),), (1,)), line))
    net.returns(net.op(MaxPool((2, 3, 2), (2, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1)), volume))
    net.returns(net.op(AvgPool((2, 3, 2), (2, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1)), volume))
    whole = net.given(net.random.integers(-9, 9, (1, 2, 8, 9)).astype(np.int8))
    net.returns(net.op(MaxPool((3, 3), (1, 1), ((1, 1), (1, 1))), whole))
    half = net.given(net.random.standard_normal((1, 2, 20, 21)).astype(np.float16))
    net.returns(net.op(AvgPool((3, 3), (1, 1)), half), 1e-3)
    net.check()


def test_global_pools_stay_blocked_or_lie_as_plain() -> None:
    net = Net()
    for channels in (32, 24):
        x = _blocked(net, 2, channels, 5, 7)
        mean = net.op(ReduceMean((2, 3)), x)
        net.returns(net.op(Flatten(), mean))
        net.returns(net.op(POINTWISE, mean, net.weight(8, channels, 1, 1)), 1e-5)
        net.returns(net.op(ReduceMax((2, 3), keepdims=False), x))
    net.check()


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_reductions_of_every_kind(dtype: str) -> None:
    net = Net()
    x = net.given((net.random.uniform(1, 3, (3, 5, 37))).astype(dtype))
    for kind in FOLDS:
        if dtype == "float32" or kind not in ("reduce_log_sum", "reduce_prod", "reduce_mean"):
            for axes in ((0,), (0, 2), ()):
                net.returns(net.op(make(kind, axes, axes != (0,)), x), 2e-6)
    net.check()


def test_extremes_of_special_numbers() -> None:
    net = Net()
    rows = np.tile(f32([[1.0, np.nan, 2.0], [np.inf, -np.inf, 0.0], [-1.0, -2.0, -3.0]]), 20)
    for kind in ("reduce_max", "reduce_min", "reduce_sum"):
        for x in (net.given(rows), net.given(rows.T.copy())):
            net.returns(net.op(make(kind, (0,)), x))
            net.returns(net.op(make(kind, (1,)), x))
    net.check()


@settings(deadline=None, max_examples=6)
@given(st.data())
def test_reductions_of_any_axes(data: st.DataObject) -> None:
    net = Net()
    for _ in range(5):
        shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 7, 16, 35]), min_size=1, max_size=4))
        axes = tuple(i for i in range(len(shape)) if data.draw(st.booleans()))
        kind = data.draw(st.sampled_from(["reduce_sum", "reduce_max", "reduce_l2"]))
        net.returns(net.op(make(kind, axes, data.draw(st.booleans())), net.normal(*shape)), 1e-5)
    net.check()
