"""Rounding in torch: the encodings' own values, and the gradients that are defined for them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codesign.interpret.straight import Rule, on_grid, rule_of, scale_of, straight
from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.encodings import Binary, Int, Ternary
from codesign.ir.encodings.grid import Grid


def f32(*values: float) -> Const:
    return Const(values[0] if len(values) == 1 else list(values), "float32")


def zeros(*values: int) -> Const:
    return Const(values[0] if len(values) == 1 else list(values), "int32")


FORMS: list[Grid] = [
    Binary(),
    Binary(f32(0.5, 1.0, 0.25), 0),
    Ternary(f32(0.7), f32(0.3)),
    Ternary(f32(0.5, 1.0, 0.25), f32(0.1, 0.3, 0.2), 0),
    Int(1, f32(0.3), signed=False),
    Int(2, f32(0.3, 0.4), axis=1),
    Int(3, f32(0.2), zeros(2), signed=False),
    Int(4, f32(0.1, 0.3), zeros(1, -3), axis=1),
    Int(8, f32(0.02)),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_values_are_those_of_the_encoding(form: Grid, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 0.7, (3, 2, 5)).astype(np.float32)
    x[0, 0, :2] = 0.0, -0.0
    found = on_grid(torch.from_numpy(x), form).numpy()
    want = enc.project((form,), x)
    np.testing.assert_array_equal(found, want)
    assert not np.signbit(found[want == 0]).any()


def slopes(rule: Rule, scale: float, *x: float) -> list[float]:
    given = torch.tensor(x, requires_grad=True)
    straight(given, torch.tensor(scale), rule).sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    return [round(float(g), 6) for g in given.grad]


def test_gradients_pass_as_far_as_the_grid_reaches() -> None:
    sign = rule_of(Binary(f32(2.0)), 1, "clip")
    assert slopes(sign, 2.0, -2.1, -1.9, 0.0, 1.9, 2.1) == [0, 1, 1, 1, 0]
    bit = rule_of(Int(1, f32(2.0), signed=False), 1, "clip")
    assert slopes(bit, 2.0, -1.1, -0.9, 0.5, 2.9, 3.1) == [0, 1, 1, 1, 0]
    three = rule_of(Ternary(f32(2.0), f32(1.0)), 1, "clip")
    assert slopes(three, 2.0, -3.1, -2.9, 0.0, 2.9, 3.1) == [0, 1, 1, 1, 0]


def test_a_triangle_is_steepest_at_the_step() -> None:
    """Bi-Real Net, 2018, eq. 9: 2 - 2|x| within 1, for signs; the same between 0 and a step."""
    sign = rule_of(Binary(), 1, "triangle")
    assert slopes(sign, 1.0, -1.5, -0.5, 0.0, 0.25, 1.0) == [0, 1, 2, 1.5, 0]
    bit = rule_of(Int(1, signed=False), 1, "triangle")
    assert slopes(bit, 1.0, -0.5, 0.0, 0.25, 0.5, 1.0) == [0, 0, 1, 2, 0]
    assert rule_of(Int(2), 1, "triangle").surrogate == "clip"  # for two levels alone


def test_weights_of_signs_are_trained_wherever_they_are() -> None:
    given = torch.tensor([-9.0, 0.1, 9.0], requires_grad=True)
    on_grid(given, Binary(f32(0.5)), weight=True).sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None and given.grad.tolist() == [1, 1, 1]


def gradient(form: Grid, x: Tensor, weights: Tensor) -> Tensor:
    """The gradient of sum(weights * rounded x) by the scale."""
    scale = scale_of(form, x.dim()).clone().requires_grad_()
    total = (straight(x, scale, rule_of(form, x.dim(), "clip")) * weights).sum()
    (found,) = torch.autograd.grad(total, scale)
    return found


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_where_all_is_clipped_scales_have_the_true_gradient(form: Grid) -> None:
    """Finite differences: there the value is a whole multiple of the scale, and stays that one."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, 5, generator=random).sign() * 50
    weights = torch.randn(3, 2, 5, generator=random)
    found, scale = gradient(form, x, weights), scale_of(form, 3)
    rule = rule_of(form, 3, "clip")
    high = float(torch.as_tensor(rule.high).max())
    for index in np.ndindex(*scale.shape):
        moved = [scale.clone(), scale.clone()]
        moved[0][index] -= 1e-2
        moved[1][index] += 1e-2
        low, up = (float((straight(x, s, rule) * weights).double().sum()) for s in moved)
        count = x.numel() / max(1, scale.numel())
        want = (up - low) / 2e-2 / (count * max(1.0, high)) ** 0.5
        assert float(found[index]) == pytest.approx(want, rel=1e-2, abs=1e-3)


def test_inside_scales_have_the_gradient_of_learned_steps() -> None:
    """Esser et al., LSQ, 2020, eq. 3 and section 2.2: round(v) - v, over sqrt(elements * high)."""
    x = torch.tensor([0.26, 0.9, -0.3, 5.0])
    found = gradient(Int(3, f32(0.5)), x, torch.ones(4))
    terms = [1 - 0.52, 2 - 1.8, -1 + 0.6, 3]
    assert float(found) == pytest.approx(sum(terms) / (4 * 3) ** 0.5, rel=1e-5)
