"""Ops that move elements, on the CPU against torch: exactly equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.gather import Embedding, Gather
from codesign.ir.ops.join import Concat, Pad, Slice, Split, Tile
from codesign.ir.ops.rearrange import DepthToSpace, SpaceToDepth
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.shape import Expand, Reshape, Transpose
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net, make


def _returns_all(net: Net, values: tuple[str, ...]) -> None:
    for value in values:
        net.returns(value, 0.0)


@pytest.mark.parametrize("isa", ["host", "x86"])
def test_copies_of_plain_tensors(isa: str) -> None:
    net = Net()
    x = net.normal(2, 6, 9, 40)
    for perm in ((0, 2, 1, 3), (3, 2, 1, 0), (0, 2, 3, 1), (1, 0, 2, 3)):
        net.returns(net.op(Transpose(perm), x), 0.0)
    net.returns(net.op(Slice((1, 3), (5, 2), (0, 39), (-2, 3)), x), 0.0)
    net.returns(net.op(Slice((2,), (1,), (8,), (1,)), x), 0.0)
    net.returns(net.op(Concat(3), x, net.weight(2, 6, 9, 3), x), 0.0)
    _returns_all(net, net.results(Split(1, (1, 3, 2)), x, names=["s"]))
    for mode in ("constant", "reflect", "edge", "wrap"):
        pads = ((0, 0), (1, 0), (2, 3), (0, 5))
        net.returns(net.op(Pad(pads, mode, 1.5 if mode == "constant" else 0.0), x), 0.0)
    net.returns(net.op(Tile((1, 2, 1, 3)), x), 0.0)
    net.returns(net.op(Expand((4, 3, 5, 20)), net.normal(3, 1, 20)), 0.0)
    for mode in ("DCR", "CRD"):
        net.returns(net.op(DepthToSpace(2, mode), net.normal(2, 12, 3, 5)), 0.0)
    net.returns(net.op(SpaceToDepth(3), net.normal(2, 2, 6, 9)), 0.0)
    net.returns(net.op(Transpose(()), net.normal()), 0.0)
    truth = net.given(net.random.integers(0, 2, (3, 70)).astype(bool))
    net.returns(net.op(Transpose((1, 0)), truth))
    net.check(Cpu(isa))


def test_gathers_with_positions_known_or_not() -> None:
    net = Net()
    x, table = net.normal(5, 7, 20), net.weight(30, 24)
    where = net.random.integers(-7, 7, (2, 3))
    for indices in (net.constant(where), net.given(where), net.given(where.astype(np.int32))):
        net.returns(net.op(Gather(1), x, indices), 0.0)
        net.returns(net.op(Gather(2), x, indices), 0.0)
    net.returns(net.op(Embedding(), net.given(net.random.integers(0, 30, (1, 9))), table), 0.0)
    net.returns(net.op(Gather(0), x, net.constant(np.asarray(-1))), 0.0)
    net.check(kernels={"move": 8})


@pytest.mark.parametrize("channels", [16, 24])
def test_copies_of_blocked_tensors(channels: int) -> None:
    net = Net()
    conv = Conv((1, 1), ((0, 0), (0, 0)))
    x = net.op(conv, net.normal(1, 16, 6, 7), net.weight(channels, 16, 1, 1))
    y = net.op(conv, net.normal(1, 16, 6, 7), net.weight(16, 16, 1, 1))
    wider = net.op(Resize((1, channels, 12, 14), coordinates="asymmetric", rounding="floor"), x)
    joined = net.op(Concat(1), x, y)
    cut = net.results(Split(2, (2, 4)), x, names=["cut"])
    halves = net.results(Split(1, (8, channels - 8)), x, names=["half"])
    padded = net.op(Pad(((0, 0), (0, 0), (1, 2), (0, 3))), x)
    sliced = net.op(Slice((2, 3), (1, 6), (6, 0), (2, -1)), x)
    for value in (wider, joined, *cut, *halves, padded, sliced):
        depth = net.types[value].shape[1]
        net.returns(net.op(conv, value, net.weight(16, depth, 1, 1)), 1e-5)
    net.check()


def test_convolutions_of_any_kind_in_the_plain_layout() -> None:
    net = Net()
    x = net.normal(1, 6, 7, 9)
    net.returns(net.op(ConvTranspose((2, 2)), x, net.weight(6, 5, 2, 2), net.weight(5)), 1e-5)
    odd = ConvTranspose((2, 3), ((1, 0), (0, 1)), (2, 1), (1, 0), groups=2)
    net.returns(net.op(odd, x, net.weight(6, 4, 3, 2)), 1e-5)
    volume = Conv((1, 1, 2), ((1, 1),) * 3, (1, 1, 1), groups=2)
    net.returns(net.op(volume, net.normal(1, 4, 5, 6, 7), net.weight(6, 2, 3, 3, 3)), 1e-5)
    squares = net.op(ConvTranspose((2, 2)), net.normal(1, 16, 5, 7), net.weight(16, 24, 2, 2))
    net.returns(net.op(Relu(), squares), 1e-5)
    bias = net.normal(5)
    net.returns(net.op(Conv(), x, net.weight(5, 6, 3, 3), bias), 1e-5)
    net.check()


@settings(deadline=None, max_examples=4)
@given(st.data())
def test_any_permutation(data: st.DataObject) -> None:
    net = Net()
    for _ in range(4):
        shape = data.draw(st.lists(st.sampled_from([1, 2, 5, 16, 33]), min_size=1, max_size=4))
        perm = tuple(data.draw(st.permutations(range(len(shape)))))
        turned = net.op(Transpose(perm), net.normal(*shape))
        net.returns(net.op(Reshape((int(np.prod(shape)),)), turned), 0.0)
    net.check()


def test_tensors_without_elements_and_constants_as_results() -> None:
    net = Net()
    x = net.normal(2, 5, 4)
    first, none = net.results(Split(1, (5, 0)), x, names=["part"])
    net.returns(net.op(Concat(1), first, none), 0.0)
    empty = net.op(Slice((0,), (0,), (0,), (1,)), x)
    net.returns(net.op(make("reduce_sum", (0,)), net.op(Relu(), empty)), 0.0)
    net.returns(net.op(make("reduce_max", (0,)), empty), 0.0)
    net.returns(net.weight(3, 4), 0.0)
    scalar = net.op(make("reduce_sum", (0, 1, 2), False), x)
    net.returns(net.op(Relu(), net.op(make("mul"), scalar, net.normal())), 1e-5)
    net.returns(net.op(make("cast", "i32"), net.op(make("neg"), scalar)), 0.0)
    net.check()
