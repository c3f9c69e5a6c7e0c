"""Codes of weights at any width: scales, sums that fit, and rounding that is made up for."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encoding import project
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.passes.quantize import compensate
from codesign.passes.quantize.compensate import Moments, compensated
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.moments import moments, windows
from codesign.passes.quantize.scales import activation, reach, spread
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.score import answers
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


@settings(deadline=None, max_examples=30)
@given(st.data(), st.sampled_from([4, 8]))
def test_biases_make_up_for_what_rounding_does_to_the_mean(data: st.DataObject, width: int) -> None:
    groups, kind = data.draw(st.sampled_from([1, 2, 4])), data.draw(st.integers(1, 2))
    b = Net()
    shape = (4 * kind, 4 // groups, 3, data.draw(st.integers(1, 3)))
    w = b.constant(b.random.standard_normal(shape).astype(np.float32), "w")
    bias = b.constant(b.random.standard_normal(shape[0]).astype(np.float32), "b")
    op = Conv((data.draw(st.integers(1, 2)),) * 2, ((1, 1), (0, 2)), groups=groups)
    graph = b.graph(b.op(op, b.x, w, bias, name="y"))
    seen = Dataset({"x": b.random.standard_normal((6, 4, 8, 8), np.float32) + 2})
    forms, coded = Forms(graph, True), activation(-4.0, 8.0, 8)
    squared = ["y"] if data.draw(st.booleans()) else []
    forms.moments = moments(graph, ["y"], squared, seen, Context(), "test")
    node = graph.by_name["y"]
    form = forms.weight(node, width, coded)
    rounded = project((form,), forms.content(node, form, coded))
    found = forms.corrected(node, form, coded)
    assert found is not None
    consts = {"w": Const(rounded, "float32"), "b": Const(found, "float32")}
    made = replace(graph, constants=consts)
    means = [answers(g, seen, 6)["y"].mean(axis=(0, 2, 3), dtype=np.float64) for g in (graph, made)]
    np.testing.assert_allclose(means[1], means[0], atol=2e-5)
    assert not np.array_equal(rounded, graph.constants["w"].array)


def test_a_layer_without_bias_gets_none() -> None:
    b = Net()
    w = b.constant(b.random.standard_normal((3, 4, 1, 1)).astype(np.float32), "w")
    graph = b.graph(b.op(Conv(), b.x, w, name="y"))
    forms, coded = Forms(graph, True), activation(-1.0, 1.0, 8)
    node = graph.by_name["y"]
    assert forms.corrected(node, forms.weight(node, 4, coded), coded) is None


def test_sums_that_fit_with_plain_rounding_fit_with_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """One element is multiplied by so much that others move far to make up for its rounding."""
    monkeypatch.setattr(compensate, "DAMPING", 1e-4)
    random = np.random.default_rng(0)
    b = Builder()
    w = b.constant(random.uniform(0.2, 1, (64, 4)).astype(np.float32), "w")
    graph = b.graph(b.op(Linear(), b.input("x", (1, 4)), w, name="y"))
    node, coded = graph.by_name["y"], activation(0.0, 1.0, 8)
    narrow, wide = Forms(graph, True, accumulator=18), Forms(graph, True)
    seen = random.standard_normal((100, 1)) * [100, 1, 1, 1] + random.standard_normal((100, 4))
    narrow.moments = wide.moments = Moments({}, {"w": (seen.T @ seen)[None].astype(np.float32)})
    form = narrow.weight(node, 8, coded)
    room = (1 << 16) / reach(coded)
    free, kept = (
        np.abs(forms.content(node, form, coded)).sum(axis=1) / form.scale.array
        for forms in (wide, narrow)
    )
    assert (free > room).any() and (free <= room).any()
    assert (kept <= room).all()
    assert np.array_equal(kept[free <= room], free[free <= room])
