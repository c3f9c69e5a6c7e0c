"""What goes through TVM's operator library, against torch."""

import numpy as np

from codesign.ir.ops.convolution import ConvTranspose
from codesign.ir.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceLogSumExp
from codesign.ir.ops.softmax import Hardmax, LogSoftmax, Softmax
from tests.targets.tvm.harness import Net, f32


def test_ops_that_no_kernel_takes() -> None:
    net = Net()
    x = net.normal(2, 6, 16)
    exact = net.given(net.random.standard_normal((2, 6, 16)))
    for axis in (0, 2):
        net.returns(net.op(Hardmax(axis), x), 0.0)
        net.returns(net.op(Softmax(axis), exact), 1e-12)
        net.returns(net.op(LogSoftmax(axis), exact), 1e-12)
    for axes in ((1,), (0, 2)):
        net.returns(net.op(ReduceLogSumExp(axes), x))
    empty = net.given(f32([[-np.inf, -np.inf], [1, np.inf]]))
    net.returns(net.op(ReduceLogSumExp((1,), keepdims=False), empty))
    doubles = [net.given(net.random.uniform(0.5, 2, 6)) for _ in range(4)]
    net.returns(net.op(LayerNorm(2), exact), 1e-12)
    net.returns(net.op(RmsNorm(1), exact), 1e-12)
    net.returns(net.op(GroupNorm(3), exact, *doubles[:2]), 1e-12)
    net.returns(net.op(InstanceNorm(), exact, *doubles[:2]), 1e-12)
    net.returns(net.op(BatchNorm(), exact, *doubles), 1e-12)
    odd = ConvTranspose((2, 3), ((1, 0), (0, 1)), (2, 1), (1, 0), groups=2)
    weights = net.normal(6, 4, 3, 2), net.normal(8)
    net.returns(net.op(odd, net.normal(1, 6, 7, 9), *weights), 1e-5)
    pool = MaxPool((3, 2), (2, 1), ((1, 1), (0, 1)), indices=True)
    codes = net.given(net.random.integers(0, 4, (1, 2, 8, 9)).astype(np.float32))
    for value in net.results(pool, codes, names=["pool"]):
        net.returns(value, 0.0)
    net.check(kernels={"fallback": 16})
