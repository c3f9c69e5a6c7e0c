"""Softmax and normalizations on the CPU against torch."""

import numpy as np
import pytest

from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LpNorm, RmsNorm
from codesign.ir.ops.softmax import LogSoftmax, Softmax
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net, f32


@pytest.mark.parametrize("isa", ["host", "x86"])
def test_softmax_along_any_axis(isa: str) -> None:
    net = Net()
    for shape in ((5, 133), (2, 3, 20), (4, 7)):
        x = net.normal(*shape)
        for axis in range(len(shape)):
            net.returns(net.op(Softmax(axis), x), 1e-6)
            net.returns(net.op(LogSoftmax(axis), x), 2e-6)
    large = net.given(f32([[1e4, 1e4, -1e4], [-np.inf, 0, 1], [-200, -100, 3e38]]))
    net.returns(net.op(Softmax(1), large))
    net.check(Cpu(isa))


def test_normalizations_with_and_without_scale() -> None:
    net = Net()
    x, bias = net.normal(3, 7, 50), net.weight(50)
    net.returns(net.op(LayerNorm(2), x, net.weight(50), bias))
    net.returns(net.op(LayerNorm(1), x, net.normal(7, 50), None))
    net.returns(net.op(LayerNorm(2, 1e-3), x))
    net.returns(net.op(RmsNorm(2), x, net.weight(50)))
    net.returns(net.op(RmsNorm(1), x))
    net.returns(net.op(Relu(), net.op(Add(), net.op(LayerNorm(2), x), x)))
    shifted = net.op(Add(), x, net.constant(f32(1000)))
    net.returns(net.op(LayerNorm(2), shifted), 1e-3)
    for p in (1, 2):
        for axis in (1, 2):
            net.returns(net.op(LpNorm(axis, p), x))
    net.returns(net.op(LpNorm(1), net.given(np.zeros((3, 4), np.float32))))
    net.check()


def test_normalizations_of_images() -> None:
    net = Net()
    conv = Conv((1, 1), ((0, 0), (0, 0)))
    x = net.op(conv, net.normal(2, 16, 5, 7), net.weight(24, 16, 1, 1))
    vectors = [net.weight(24), net.weight(24), net.weight(24), net.constant(np.ones(24, "f") * 2)]
    net.returns(net.op(Relu(), net.op(BatchNorm(), x, *vectors)))
    net.returns(net.op(BatchNorm(), net.normal(4, 24), *vectors))
    net.returns(net.op(GroupNorm(4), x, *vectors[:2]))
    net.returns(net.op(GroupNorm(3), x))
    net.returns(net.op(InstanceNorm(), x, *vectors[:2]))
    net.check()
