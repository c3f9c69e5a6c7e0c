"""Engines compute what the integer interpreter does, bit for bit, however they are folded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.pool import MaxPool
from codesign.targets.xnor.compute import windows
from codesign.targets.xnor.engine import Map, Window
from tests.targets.xnor.nets import Net, exact, form, place, residual

WEIGHTS = st.sampled_from(["b", "t", "s2", "s8"])
CODES = st.sampled_from(["b", "t", "u1", "u2", "u3", "s4"])


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Two convolutions, a pool of codes or of floats between them, a linear layer behind."""
    net = Net(draw(st.integers(0, 99)))
    size, channels = draw(st.integers(5, 9)), draw(st.integers(1, 5))
    x = net.input(draw(st.integers(1, 2)), channels, size, draw(st.integers(5, 9)))
    pads = ((draw(st.integers(0, 2)), draw(st.integers(0, 1))), (1, draw(st.integers(0, 2))))
    kernel = draw(st.sampled_from([(3, 3), (1, 1), (2, 3), (3, 1)]))
    first = Conv((draw(st.integers(1, 2)), 1), pads, (1, draw(st.integers(1, 2))))
    x = net.norm(net.conv(x, draw(st.integers(1, 9)), kernel, form(draw(WEIGHTS)), first))
    pool = draw(st.sampled_from(["none", "codes", "floats"]))
    how = draw(
        st.sampled_from([MaxPool((2, 2), (2, 2)), MaxPool((3, 2), (2, 1), ((1, 1), (0, 1)))])
    )
    x = net.pool(x, how) if pool == "floats" else x
    x = net.encode(net.relu(x) if draw(st.booleans()) else x, form(draw(CODES)))
    x = net.pool(x, how) if pool == "codes" else x
    second = Conv(pads=((1, 1), (1, 1)))
    x = net.conv(x, draw(st.integers(1, 7)), (3, 3), form(draw(WEIGHTS)), second)
    x = net.flat(net.encode(net.norm(x), form(draw(CODES))))
    return net.graph(net.linear(x, draw(st.integers(1, 5)), form(draw(WEIGHTS))))


@given(networks(), st.data())
@settings(deadline=None, max_examples=40)
def test_convolutions_pools_and_linear_layers(graph: Graph, data: st.DataObject) -> None:
    exact(place(graph, lambda of: data.draw(st.sampled_from(of))))


@given(st.integers(0, 99), st.integers(1, 7), st.integers(3, 8), st.data())
@settings(deadline=None, max_examples=20)
def test_residual_sums_forks_tables_and_means(
    seed: int, channels: int, size: int, data: st.DataObject
) -> None:
    exact(place(residual(seed, channels, size), lambda of: data.draw(st.sampled_from(of))))


def test_a_pool_of_floats_takes_the_smallest_code_where_scales_are_negative() -> None:
    net = Net(3)
    x = net.conv(net.input(1, 2, 8, 8), 8, (3, 3), form("b"))
    x = net.norm(net.pool(x, MaxPool((2, 2), (2, 2))))
    scale = net.b.constants[net.b.nodes[-1].operands[1]].array
    assert (scale < 0).any() and (scale == 0).any() and (scale > 0).any()
    x = net.flat(net.encode(x, form("b")))
    placed = place(net.graph(net.linear(x, 3, form("b"))), None)
    assert {a.kernel for a in placed.placement} == {"host", "mvtu", "wire"}
    exact(placed)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 1, 1), (1, 1, 1, 5)])
def test_maps_of_one_element(shape: tuple[int, ...]) -> None:
    net = Net()
    x = net.encode(net.norm(net.conv(net.input(*shape), 1, (1, 1), form("b"))), form("b"))
    pads = Conv(pads=((1, 1), (1, 1)))
    exact(place(net.graph(net.conv(x, 2, (3, 3), form("b"), pads)), None))


def test_sequences_of_vectors_and_one_axis() -> None:
    net = Net()
    x = net.linear(net.input(2, 5, 6), 4, form("b"))
    x = net.encode(net.relu(x), form("u2"))
    exact(place(net.graph(net.linear(x, 3, form("t"))), None))
    line = Net()
    one = Conv((2,), ((1, 0),), (1,))
    w = line.weight((4, 3, 3), form("b"))
    x = line.b.op(one, line.input(1, 3, 9), w, name="L1")
    x = line.encode(line.norm(x), form("b"))
    w = line.weight((2, 4, 2), form("b"))
    exact(place(line.graph(line.b.op(Conv((1,), ((0, 0),), (1,)), x, w, name="L2")), None))


@given(
    st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3),
    st.integers(0, 2), st.integers(1, 2), st.integers(0, 4),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_ring_never_loses_what_a_window_needs(
    high: int, wide: int, kernel: int, stride: int, chunks: int, pad: int, dilation: int, spare: int
) -> None:
    engine = Window(
        "w", (), (), Map(2 * chunks, high, wide), (kernel, kernel), (stride, 1),
        ((pad, pad), (pad, 0)), (dilation, dilation), 2, 8, spare,
    )  # fmt: skip
    if min(engine.out) < 1:
        return
    words = np.arange(1, 1 + engine.written * 2).reshape(1, engine.written, 2)
    out, padding = windows(engine, words)
    padded = np.zeros((high + 2 * pad, wide + pad, 2 * chunks), np.int64)
    padded[pad : pad + high, pad : pad + wide] = words.reshape(high, wide, -1)
    want = [
        padded[oy * stride + ky * dilation, ox + kx * dilation]
        for oy in range(engine.out[0])
        for ox in range(engine.out[1])
        for ky in range(kernel)
        for kx in range(kernel)
    ]
    np.testing.assert_array_equal(out.reshape(len(want), -1), np.array(want))
    assert ((out == 0).all(axis=2)[0] == padding).all()
