"""Ops whose element is a formula of its index, on the CPU against torch."""

import numpy as np

from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.gather import GatherElements, GatherNd, OneHot
from codesign.ir.ops.norm import Lrn
from codesign.ir.ops.rearrange import Trilu
from codesign.ir.ops.resize import Resize
from tests.targets.tvm.harness import Net


def test_gathers_by_element_and_triangles() -> None:
    net = Net()
    x = net.normal(4, 5, 20)
    where = net.random.integers(-5, 5, (4, 3, 20))
    for indices in (net.given(where), net.constant(where)):
        net.returns(net.op(GatherElements(1), x, indices), 0.0)
    pairs = net.given(net.random.integers(0, 4, (7, 2)).astype(np.int32))
    net.returns(net.op(Relu(), net.op(GatherNd(), x, pairs)), 0.0)
    net.returns(net.op(GatherNd(1), x, net.given(net.random.integers(-5, 5, (4, 6, 1)))), 0.0)
    net.returns(net.op(GatherNd(), x, net.given(net.random.integers(0, 4, (6, 3)))), 0.0)
    codes = net.given(net.random.integers(-9, 9, (3, 21)))
    for axis in (0, 2):
        net.returns(net.op(OneHot(7, axis, 2.0, -1.0), codes), 0.0)
    net.returns(net.op(OneHot(7, 1, dtype="bool"), codes))
    for upper in (True, False):
        net.returns(net.op(Trilu(upper, 1), x), 0.0)
    net.returns(net.op(Lrn(5), net.normal(2, 8, 5, 6)), 1e-6)
    net.returns(net.op(Lrn(4, 1e-2, 0.6), net.normal(2, 3, 17)), 1e-6)
    net.check()


def test_interpolation_on_both_layouts() -> None:
    net = Net()
    conv = Conv((1, 1), ((0, 0), (0, 0)))
    blocked = net.op(conv, net.normal(1, 16, 6, 7), net.weight(16, 16, 1, 1))
    for x in (blocked, net.normal(1, 3, 6, 7)):
        channels = net.types[x].shape[1]
        for op in (
            Resize((1, channels, 12, 14), mode="linear"),
            Resize((1, channels, 9, 10), mode="linear", coordinates="align_corners"),
            Resize((1, channels, 9, 10), mode="cubic"),
            Resize((1, channels, 4, 3), mode="linear", antialias=True),
        ):
            net.returns(net.op(Relu(), net.op(op, x)), 2e-6)
    net.returns(net.op(Resize((2, 3, 9), mode="linear"), net.normal(2, 3, 5)), 2e-6)
    net.check(kernels={"indexed": 9})
