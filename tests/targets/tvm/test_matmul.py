"""Matrix products and fully connected layers on the CPU against torch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.ops.activation import Gelu, Relu
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net, f32


def _layer(net: Net, x: str, depth: int, columns: int) -> str:
    return net.op(Linear(), x, net.weight(columns, depth), net.weight(columns))


@pytest.mark.parametrize("isa", ["host", "avx2", "x86"])
def test_layers_with_what_follows_them(isa: str) -> None:
    net = Net()
    x = net.normal(1, 37, 50)
    y = net.op(Gelu(), _layer(net, x, 50, 70))
    net.returns(net.op(Relu(), net.op(Add(), _layer(net, y, 70, 50), x)), 1e-5)
    net.returns(_layer(net, net.normal(1, 300), 300, 131))
    net.returns(_layer(net, net.normal(2, 3, 5, 8), 8, 1))
    net.check(Cpu(isa), {"matmul": 4})


def test_bands_of_rows_over_a_long_reduction() -> None:
    net = Net()
    net.returns(_layer(net, net.normal(130, 2000), 2000, 24), 1e-5)
    net.check(Cpu(threads=2))


def test_products_of_two_values() -> None:
    net = Net()
    for a, b in [
        ((2, 3, 17, 20), (2, 3, 20, 33)),
        ((3, 17, 20), (2, 1, 20, 5)),
        ((17, 20), (20, 128)),
        ((20,), (3, 20, 16)),
        ((2, 17, 20), (20,)),
        ((20,), (20,)),
        ((1, 2, 5, 4), (4, 19)),
    ]:
        product = net.op(MatMul(), net.normal(*a), net.normal(*b))
        net.returns(net.op(Mul(), product, net.constant(f32(0.25))))
    net.check(kernels={"matmul": 7})


def test_products_with_constants_on_either_side() -> None:
    net = Net()
    net.returns(net.op(MatMul(), net.normal(2, 7, 9), net.weight(9, 40)))
    net.returns(net.op(MatMul(), net.normal(2, 7, 9), net.weight(2, 9, 40)))
    net.returns(net.op(MatMul(), net.weight(7, 9), net.normal(9, 21)))
    net.returns(net.op(Linear(), net.normal(3, 9), net.weight(4, 9), net.normal(4)))
    net.check(kernels={"matmul": 4})


@settings(deadline=None, max_examples=3)
@given(st.data())
def test_any_shape(data: st.DataObject) -> None:
    net = Net()
    for _ in range(4):
        rows, depth, columns = (data.draw(st.integers(1, 90)) for _ in range(3))
        make = data.draw(st.sampled_from([net.normal, net.weight]))
        net.returns(net.op(MatMul(), net.normal(rows, depth), make(depth, columns)), 1e-5)
    net.check()
