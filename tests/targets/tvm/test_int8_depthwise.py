"""8-bit depthwise convolutions against numpy, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import RefusedError
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.kernels import depthwise_int8, int8_layout
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.requantize import requantize
from tests.targets.tvm import int8_oracle as oracle


def check(shape: ConvShape, machine: str, zero: int, extreme: bool, seed: int = 0) -> None:
    random, target = np.random.default_rng(seed), isa(machine)
    q = oracle.codes(random, (shape.n, shape.ic, *shape.spatial), extreme)
    w = oracle.weights(random, shape.weight, extreme)
    acc = oracle.convolve(q, w, shape, zero)
    scaling = oracle.scalings(random, shape.oc, 4 * float(acc.std()) + 500)
    rescaled = requantize(scaling, int8_layout.channels(shape.oc), target)
    points = depthwise_int8.space(shape, target)
    point = points[seed % len(points)]
    func = depthwise_int8.emit("kernel", shape, target, point, rescaled.epilogue, zero)
    packed = depthwise_int8.pack_weight(w, shape, target, point)
    constants = rescaled.constants.values()
    out = oracle.call(func, target, oracle.physical(q), packed, *constants, oracle.empty(shape))
    np.testing.assert_array_equal(oracle.logical(out, shape.oc), oracle.rescale(acc, scaling))


@settings(deadline=None, max_examples=8)
@given(
    oracle.convolutions(),
    st.sampled_from([1, 7, 16, 24, 32, 40, 48, 64, 100, 144]),
    st.integers(0, 255),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_depthwise(shape: ConvShape, c: int, zero: int, extreme: bool, seed: int) -> None:
    machine = oracle.runnable()[seed % len(oracle.runnable())]
    check(replace(shape, ic=c, oc=c, groups=c), machine, zero, extreme, seed)


@pytest.mark.parametrize("machine", oracle.runnable())
@pytest.mark.parametrize(("c", "k", "stride"), [(32, 3, 1), (72, 5, 2), (16, 3, 2)])
def test_each_instruction_set(machine: str, c: int, k: int, stride: int) -> None:
    pads = ((k // 2, k // 2),) * 2
    shape = ConvShape(1, c, c, (8, 7), (k, k), (stride,) * 2, pads, (1, 1), groups=c)
    check(shape, machine, 128, extreme=True)


def test_ordinary_convolutions_are_refused() -> None:
    shape = ConvShape(1, 4, 4, (5, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    with pytest.raises(RefusedError, match="as many groups"):
        depthwise_int8.default(shape, isa("avx2"))
