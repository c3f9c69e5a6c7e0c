"""8-bit pooling against numpy, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.ir.fixedpoint import fixed_point
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.kernels import int8_layout, pool_int8
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.requantize import Scaling, requantize
from tests.targets.tvm import int8_oracle as oracle


def largest(q: np.ndarray, shape: ConvShape) -> np.ndarray:
    lowest = np.iinfo(q.dtype).min
    padded = np.pad(q, ((0, 0), (0, 0), *shape.pads), constant_values=lowest)
    out = np.full((shape.n, shape.oc, *shape.out_spatial), lowest, q.dtype)
    for tap in np.ndindex(*shape.kernel):
        cut = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, s, o in zip(
                tap, shape.dilations, shape.strides, shape.out_spatial, strict=True
            )
        )
        out = np.maximum(out, padded[(slice(None), slice(None), *cut)])
    return out


@settings(deadline=None, max_examples=6)
@given(oracle.convolutions(most_ic=100), st.sampled_from(["uint8", "int8"]), st.integers(0, 99))
def test_any_maximum(shape: ConvShape, element: str, seed: int) -> None:
    shape = replace(shape, oc=shape.ic, groups=shape.ic)
    target = isa(oracle.runnable()[seed % len(oracle.runnable())])
    random = np.random.default_rng(seed)
    q = oracle.codes(random, (shape.n, shape.ic, *shape.spatial), False).view(element)
    point = pool_int8.default(shape, target)
    func = pool_int8.emit_max("kernel", shape, target, point, element)
    out = oracle.call(func, target, oracle.physical(q), oracle.empty(shape, element))
    np.testing.assert_array_equal(oracle.logical(out, shape.oc), largest(q, shape))


@settings(deadline=None, max_examples=6)
@given(oracle.convolutions(), st.integers(0, 255), st.integers(0, 99))
def test_any_average(shape: ConvShape, zero: int, seed: int) -> None:
    average(replace(shape, oc=shape.ic, groups=shape.ic), zero, seed)


@pytest.mark.parametrize("machine", range(len(oracle.runnable())))
def test_global_average(machine: int) -> None:
    none = ((0, 0), (0, 0))
    average(ConvShape(1, 40, 40, (7, 7), (7, 7), (1, 1), none, (1, 1), groups=40), 17, machine)


def average(shape: ConvShape, zero: int, seed: int) -> None:
    target = isa(oracle.runnable()[seed % len(oracle.runnable())])
    random = np.random.default_rng(seed)
    q = oracle.codes(random, (shape.n, shape.ic, *shape.spatial), bool(seed % 2))
    taps = int(np.prod(shape.kernel))
    acc = oracle.convolve(q, np.ones(shape.weight, np.int8), shape, zero) - zero * taps
    fixed, zeros = fixed_point([0.9 / taps]), np.zeros(1, np.int64)
    scaling = Scaling(zeros, fixed.multipliers[0], fixed.shift, zero, bound=255 * taps)
    rescaled = requantize(scaling, int8_layout.channels(shape.oc), target)
    point = pool_int8.default(shape, target)
    func = pool_int8.emit("kernel", shape, target, point, rescaled.epilogue, zero)
    constants = rescaled.constants.values()
    out = oracle.call(func, target, oracle.physical(q), *constants, oracle.empty(shape))
    np.testing.assert_array_equal(oracle.logical(out, shape.oc), oracle.rescale(acc, scaling))
