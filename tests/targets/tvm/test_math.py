"""The vectorized functions keep the bounds that they state, measured against float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm

from codesign.targets.tvm import math
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.target import Cpu
from codesign.targets.tvm.tir import Function, load

COUNT = 1 << 18
# Vectorized function, the exact one, bound in ulp, arguments, arguments below which it is 0.
TABLE: dict[str, tuple[Callable[[Any], Any], Callable[..., Any], float, str, float]] = {
    "exp": (math.exp, np.exp, 2, "all", -np.inf),
    "exp_negative": (math.exp_negative, np.exp, 2, "negative", -87.3),
    "expm1_negative": (math.expm1_negative, np.expm1, 3, "negative", -np.inf),
    "log": (math.log, np.log, 2, "all", -np.inf),
    "log1p_unit": (math.log1p_unit, np.log1p, 3, "unit", -np.inf),
    "sigmoid": (math.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 4, "all", -87.3),
    "tanh": (math.tanh, np.tanh, 3, "all", -np.inf),
    "erf": (math.erf, lambda x: _erf(x), 3, "all", -np.inf),
}


def _erf(x: np.ndarray) -> np.ndarray:
    import torch

    result: np.ndarray = torch.erf(torch.from_numpy(x)).numpy()
    return result


def _arguments(which: str) -> np.ndarray:
    """Any bit pattern, the interesting range densely, and what is special."""
    random = np.random.default_rng(0)
    if which == "unit":
        return random.uniform(0, 1, COUNT).astype(np.float32)
    bits = random.integers(0, 2**32, COUNT, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = random.uniform(-110, 110, COUNT).astype(np.float32)
    near = random.uniform(-6, 6, COUNT).astype(np.float32)
    special = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e-40, -1e-40, 1], np.float32)
    mixed = np.concatenate([special, bits[: COUNT // 4], dense[: COUNT // 4], near])[:COUNT]
    return -np.abs(mixed) if which == "negative" else mixed


@pytest.mark.parametrize("name", ["host", "x86"])
def test_stated_bounds_hold(name: str) -> None:
    functions = {}
    for kind, (own, *_) in TABLE.items():
        f = Function(kind)
        x, y = (f.argument(n, (COUNT,), "float32") for n in "xy")
        with f.serial(COUNT // 16) as i, f.vectorized(16) as lane:
            f.store(y, own(load(x, (i * 16 + lane,))), (i * 16 + lane,))
        functions[kind] = f.build()
    target = tvm.target.Target(isa(Cpu(name).isa).tvm_target)
    compiled = tvm.compile(tvm.IRModule(functions), target=target)
    for kind, (_, exact, bound, which, flushed) in TABLE.items():
        x = _arguments(which)
        result = tvm.runtime.tensor(np.zeros(COUNT, np.float32))
        compiled[kind](tvm.runtime.tensor(x), result)
        with np.errstate(all="ignore"):
            _compare(kind, x, result.numpy(), exact(x.astype(np.float64)), bound, flushed)


def _compare(
    kind: str, x: np.ndarray, got: np.ndarray, want: np.ndarray, bound: float, flushed: float
) -> None:
    rounded = want.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded), kind)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded), kind)
    kept = np.isfinite(rounded) & ~(x < flushed)
    unit = np.maximum(np.spacing(np.abs(rounded[kept])), np.float32(1e-45)).astype(np.float64)
    error = np.abs(got[kept] - want[kept]) / unit
    worst = int(error.argmax())
    assert error[worst] <= bound, f"{kind}({x[kept][worst]}) is off by {error[worst]:.2f} ulp"
    assert np.all(got[x < flushed] == 0)
