"""Ops in order along an axis, scattered updates and general contractions, against torch."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.einsum import Einsum
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.order import ArgMax, ArgMin, CumSum, TopK
from codesign.ir.ops.scatter import ScatterElements, ScatterNd
from tests.targets.tvm.harness import Net, f32


def test_extremes_sums_and_largest_along_any_axis() -> None:
    net = Net()
    ties = net.given(net.random.integers(0, 5, (4, 9, 6)).astype(np.float32))
    whole = net.given(net.random.integers(-9, 9, (4, 9, 6)))
    for x in (ties, whole):
        for axis in range(3):
            last, turned = axis % 2 == 0, x == ties
            for op in (ArgMax(axis, turned, last), ArgMin(axis), CumSum(axis, last, turned)):
                net.returns(net.op(op, x), 1e-6)
            for k, largest in ((4, False), (net.types[x].shape[axis], True)):
                chosen = TopK(min(k, net.types[x].shape[axis]), axis, largest)
                values, places = net.results(chosen, x, names=["v", "p"])
                net.returns(values, 0.0)
                net.returns(places)
    net.returns(net.op(ArgMax(0), net.given(f32([1, np.nan, 3, np.nan]))))
    net.check()


def test_updates_at_positions_that_are_data() -> None:
    net = Net()
    x = net.normal(5, 6, 7)
    for reduction in ("none", "add", "mul", "max", "min"):
        columns = np.stack([net.random.permutation(6)[:3] for _ in range(10)]).reshape(5, 2, 3)
        where = net.given(np.swapaxes(columns, 1, 2) - 6)
        op = ScatterElements(1, reduction)
        net.returns(net.op(op, x, where, net.normal(5, 3, 2)), 1e-6)
        rows = net.given(net.random.permutation(5)[:3].reshape(3, 1))
        net.returns(net.op(ScatterNd(reduction), x, rows, net.normal(3, 6, 7)), 1e-6)
    points = net.given(np.array([[0, 1, 2], [-1, -1, -1]], np.int64))
    net.returns(net.op(ScatterNd(), x, points, net.normal(2)), 1e-6)
    net.check()


def test_contractions_that_need_no_constant_and_no_float() -> None:
    net = Net()
    x = net.normal(2, 4, 7, 8)
    conv = Conv((2, 1), ((1, 0), (2, 2)), (1, 2), groups=2)
    net.returns(net.op(conv, x, net.normal(6, 2, 3, 3), net.normal(6)), 1e-5)
    net.returns(net.op(Linear(), net.normal(3, 5, 8), net.normal(9, 8), net.normal(9)), 1e-5)
    a = net.given(net.random.integers(-9, 9, (3, 4, 5)))
    net.returns(net.op(MatMul(), a, net.given(net.random.integers(-9, 9, (5, 6)))))
    exact = [net.given(net.random.standard_normal(s)) for s in ((4, 5), (5, 6))]
    net.returns(net.op(MatMul(), *exact), 1e-14)
    for equation, shapes in (
        ("bij,bjk->bki", ((2, 3, 4), (2, 4, 5))),
        ("i,j->ij", ((3,), (20,))),
        ("...ij,...ij->...", ((2, 3, 4), (2, 3, 4))),
        ("bhid,bhjd->bhij", ((1, 2, 3, 4), (1, 2, 5, 4))),
        ("bii->bi", ((3, 4, 4),)),
        ("ij,jk,kl->il", ((3, 4), (4, 5), (5, 6))),
        ("ij,ij->i", ((3, 4), (1, 4))),
    ):
        net.returns(net.op(Einsum(equation), *(net.normal(*s) for s in shapes)), 1e-5)
    net.check(kernels={"contract": 11})


@settings(deadline=None, max_examples=3)
@given(st.data())
def test_the_k_largest_of_anything(data: st.DataObject) -> None:
    net = Net()
    for _ in range(3):
        n = data.draw(st.integers(1, 40))
        k = data.draw(st.integers(1, n))
        codes = data.draw(st.lists(st.integers(-3, 3), min_size=2 * n, max_size=2 * n))
        x = net.given(np.array(codes, np.float32).reshape(2, n))
        values, places = net.results(TopK(k, 1, data.draw(st.booleans())), x, names=["v", "p"])
        net.returns(values, 0.0)
        net.returns(places)
    net.check()
