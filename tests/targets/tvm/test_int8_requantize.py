"""Requantization, alone and with a residual, against its definition; bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import RefusedError
from codesign.ir.fixedpoint import fixed_point
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.kernels import add_int8, int8_layout
from codesign.targets.tvm.kernels.add_int8 import ElementShape
from codesign.targets.tvm.requantize import Residual, Scaling, requantize
from codesign.targets.tvm.tir import Function
from tests.targets.tvm import int8_oracle as oracle


def run(acc: np.ndarray, scaling: Scaling, machine: str) -> np.ndarray:
    """Requantize [rows, 16 k] accumulators."""
    target, (rows, channels) = isa(machine), acc.shape
    rescaled = requantize(scaling, channels, target)
    epilogue, f = rescaled.epilogue, Function("kernel")
    x = f.argument("x", acc.shape, "int32")
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = int8_layout.argument(f, "y", acc.shape, scaling.dtype)
    with f.serial(rows, "row") as row, f.serial(channels // 16, "block") as block:
        total = f.local("acc", (16,), "int32")
        with f.vectorized(16) as lane:
            f.store(total, x[row, block * 16 + lane], (lane,))
        int8_layout.finish(f, epilogue, total, out, (row, block * 16), operands)
    constants = rescaled.constants.values()
    return oracle.call(f.build(), target, acc, *constants, np.zeros(acc.shape, scaling.dtype))


@pytest.mark.parametrize("machine", oracle.runnable())
@pytest.mark.parametrize("shifts", [(1, 63), (24, 54), (32, 54)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_all_multipliers_and_shifts(machine: str, shifts: tuple[int, int], dtype: str) -> None:
    random = np.random.default_rng(shifts[0])
    acc = random.integers(-(2**31), 2**31, (40, 64))
    acc[:20] >>= random.integers(0, 31, (20, 64))
    acc[0, :3] = -(2**31), 2**31 - 1, 0
    m, s = random.integers(0, 2**31, 64), random.integers(*shifts, 64)
    m[:4] = 0, 2**31 - 1, 2**31 - 1, 1
    bias, edges = np.zeros(64, np.int64), np.iinfo(dtype)
    scaling = Scaling(bias, m, s, 5, edges.min, edges.max, dtype)
    want = oracle.rescale(acc, scaling)
    np.testing.assert_array_equal(run(acc.astype(np.int32), scaling, machine), want)


@pytest.mark.parametrize("machine", oracle.runnable())
def test_halves_round_up(machine: str) -> None:
    acc = np.arange(-32, 32).reshape(1, 64)
    scaling = Scaling(np.zeros(1, np.int64), np.int64(2**29), np.int64(31), 100, bound=64)
    want = np.floor(acc / 4 + 0.5) + 100
    np.testing.assert_array_equal(run(acc.astype(np.int32), scaling, machine), want)


@settings(deadline=None, max_examples=6)
@given(st.integers(1, 70), st.floats(0.01, 3), st.floats(0.01, 3), st.integers(0, 99))
def test_addition(c: int, first: float, second: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    target = isa(oracle.runnable()[seed % len(oracle.runnable())])
    a, b = (oracle.codes(random, (2, c, 3, 5), False) for _ in range(2))
    za, zb, zy = (int(z) for z in random.integers(0, 256, 3))
    fixed = fixed_point([first, second])
    (ma, mb), shift = fixed.multipliers, fixed.shift
    shape = ElementShape(2, c, (3, 5))
    scaling = Scaling(np.int64(-za), ma, shift, zy, bound=255)
    rescaled = requantize(
        scaling, int8_layout.channels(c), target, Residual(shape.physical, zb, mb)
    )
    point = add_int8.default(shape, target)
    func = add_int8.emit("kernel", shape, target, point, rescaled.epilogue)
    constants = rescaled.constants.values()
    out = np.zeros(shape.physical, np.uint8)
    got = oracle.call(func, target, oracle.physical(a), *constants, oracle.physical(b), out)
    other = (b.astype(np.int64) - zb) * mb
    want = oracle.rescale(a.astype(np.int64), scaling, other)
    np.testing.assert_array_equal(oracle.logical(got, c), want)


def test_numbers_out_of_range_are_refused() -> None:
    zero = np.zeros(1, np.int64)
    with pytest.raises(RefusedError, match="multiplier"):
        requantize(Scaling(zero, np.int64(2**31), np.int64(40), 0), 16, isa("avx2"))
    with pytest.raises(RefusedError, match="shift"):
        requantize(Scaling(zero, np.int64(2**30), np.int64(63), 0), 16, isa("avx2"))
