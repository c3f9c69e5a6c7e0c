"""Codes of weights at any width: scales, sums that fit, and rounding that is made up for."""

from itertools import product

import numpy as np
import pytest
import torch

from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.moments import compensated, windows
from codesign.passes.quantize.scales import activation, reach, spread
from tests.passes.test_quantize_int8 import Net
from tests.strategies import inputs_of


def test_rounding_that_is_made_up_for_changes_results_less() -> None:
    random = np.random.default_rng(3)
    mixed = random.standard_normal((12, 12)) @ np.diag(np.linspace(0.1, 1, 12))
    x = random.standard_normal((400, 12)) @ mixed + 3.0
    array = random.standard_normal((6, 12)).astype(np.float32)
    scale = spread(array, 4, True).astype(np.float32)
    made = compensated(array, (x.T @ x)[None].astype(np.float32), scale, -8, 7)
    plain = np.clip(np.rint(array / scale[:, None]), -8, 7) * scale[:, None]
    codes = made / scale[:, None]
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-4)
    assert codes.min() >= -8.001 and codes.max() <= 7.001
    errors = [float((((w - array) @ x.T) ** 2).sum()) for w in (made, plain)]
    assert errors[0] < 0.6 * errors[1]


@pytest.mark.parametrize(("groups", "stride", "dilation"), [(1, 1, 1), (2, 2, 1), (4, 1, 2)])
def test_windows_are_what_weights_are_multiplied_by(
    groups: int, stride: int, dilation: int
) -> None:
    b = Net()
    w = b.constant(b.random.standard_normal((8, 4 // groups, 3, 3)).astype(np.float32), "w")
    pads = ((1, 1), (0, 2))
    op = Conv((stride,) * 2, pads, (dilation,) * 2, groups)
    graph = b.graph(b.op(op, b.x, w, name="y"))
    x = inputs_of(graph, 1)["x"]
    found = windows(graph, graph.by_name["y"], torch.from_numpy(x)).numpy()
    rows = graph.constants["w"].array.reshape(groups, 8 // groups, -1)
    made = np.einsum("pgk,gmk->gmp", found, rows).reshape(1, 8, -1)
    want = evaluate(graph, {"x": x})["y"]
    np.testing.assert_allclose(made.reshape(want.shape), want, rtol=1e-4, atol=1e-4)


def test_sums_never_leave_their_accumulators() -> None:
    random = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (1, 4096))
    w = b.constant(np.abs(random.standard_normal((3, 4096))).astype(np.float32), "w")
    bias = b.constant(random.standard_normal(3).astype(np.float32), "b")
    graph = b.graph(b.op(Linear(), x, w, bias, name="y"))
    node, forms = graph.by_name["y"], Forms(graph, True)
    for width, bits in product((2, 8, 16), (8, 16)):
        coded = activation(-1.0, 3.0, bits)
        form = forms.weight(node, width, coded)
        codes = np.abs(form.encode(graph.constants["w"].array)["values"].astype(np.int64))
        scale = form.scale.array.astype(np.float64) * float(coded.scale.array)
        most = codes.sum(axis=1) * reach(coded) + np.abs(graph.constants["b"].array) / scale
        assert (most < 2 ** (ACCUMULATOR_BITS - 1)).all()


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("width", [2, 3, 4])
def test_few_codes_are_spread_for_the_least_squared_error(width: int, per_channel: bool) -> None:
    array = np.random.default_rng(2).standard_normal((5, 200)).astype(np.float32)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1

    def error(scale: np.ndarray) -> float:
        step = scale.astype(np.float32)[:, None]
        return float(((np.clip(np.rint(array / step), low, high) * step - array) ** 2).sum())

    best = spread(array, width, per_channel)
    widest = np.abs(array).max(axis=1) / high
    assert error(best) < 0.9 * error(np.full(5, widest.max()) if not per_channel else widest)
