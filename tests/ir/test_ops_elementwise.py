from collections.abc import Callable
from math import erf, inf, nan

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import VerificationError
from codesign.ir.op import Op
from codesign.ir.ops import activation as act
from codesign.ir.ops import elementwise as ew
from codesign.ir.ops import logic, softmax, unary
from codesign.ir.ops.cast import Cast
from codesign.ir.types import TensorType
from tests.ir.running import f32, i32, i64, normal, run, u8

TORCH_ACTIVATIONS: list[tuple[Op, Callable[[torch.Tensor], torch.Tensor]]] = [
    (act.Relu(), F.relu),
    (act.Clip(-0.5, 1.0), lambda x: F.hardtanh(x, -0.5, 1.0)),
    (act.Clip(low=0.25), lambda x: x.clamp(min=0.25)),
    (act.LeakyRelu(0.2), lambda x: F.leaky_relu(x, 0.2)),
    (act.ThresholdedRelu(0.5), lambda x: F.threshold(x, 0.5, 0.0)),
    (act.Sigmoid(), torch.sigmoid),
    (act.HardSigmoid(1 / 6, 0.5), F.hardsigmoid),
    (act.HardSwish(), F.hardswish),
    (act.Silu(), F.silu),
    (act.Tanh(), torch.tanh),
    (act.Gelu(), F.gelu),
    (act.Gelu("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (act.Elu(0.7), lambda x: F.elu(x, 0.7)),
    (act.Selu(), F.selu),
    (act.Celu(0.7), lambda x: F.celu(x, 0.7)),
    (act.Softplus(), F.softplus),
    (act.Softsign(), F.softsign),
    (act.Mish(), F.mish),
    (act.Shrink(0.5, 0.5), F.softshrink),
    (act.Shrink(0.0, 0.5), F.hardshrink),
    (softmax.Softmax(2), lambda x: F.softmax(x, 2)),
    (softmax.LogSoftmax(0), lambda x: F.log_softmax(x, 0)),
]


@pytest.mark.parametrize(
    ("op", "expected"), TORCH_ACTIVATIONS, ids=lambda v: getattr(v, "kind", "")
)
def test_activations_agree_with_torch(
    op: Op, expected: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    x = 3 * normal(4, 5, 6)
    np.testing.assert_allclose(
        run(op, x), expected(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("op", [op for op, _ in TORCH_ACTIVATIONS], ids=lambda op: op.kind)
def test_activations_have_finite_gradients_far_out(op: Op) -> None:
    x = torch.tensor([[[-200.0, -1.0, 0.5, 200.0]]], requires_grad=True)
    y = op.evaluate(x)
    assert isinstance(y, torch.Tensor)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all() and y.isfinite().all()


NUMPY_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "erf": np.vectorize(erf),
    "exp": np.exp,
    "floor": np.floor,
    "neg": np.negative,
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "trunc": np.trunc,
}
POSITIVE: dict[str, Callable[..., np.ndarray]] = {
    "log": np.log,
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "acosh": lambda x: np.arccosh(x + 1),
    "asin": lambda x: np.arcsin(np.minimum(x, 1)),
    "acos": lambda x: np.arccos(np.minimum(x, 1)),
    "atanh": lambda x: np.arctanh(np.minimum(x, 0.9)),
}
INTO: dict[str, Callable[..., np.ndarray]] = {
    "acosh": lambda x: x + 1,
    "asin": lambda x: np.minimum(x, 1),
    "acos": lambda x: np.minimum(x, 1),
    "atanh": lambda x: np.minimum(x, f32(0.9)),
}
FUNCTIONS = {
    cls.kind: cls
    for cls in vars(unary).values()
    if isinstance(cls, type) and issubclass(cls, unary.Function) and hasattr(cls, "kind")
}


def test_every_function_is_compared() -> None:
    assert set(FUNCTIONS) == set(NUMPY_FUNCTIONS) | set(POSITIVE)


@pytest.mark.parametrize("kind", sorted(NUMPY_FUNCTIONS))
def test_functions_agree_with_numpy(kind: str) -> None:
    x = np.concatenate([3 * normal(40), f32([0.5, 1.5, 2.5, -0.5, -1.5, 0.0])])
    expected = NUMPY_FUNCTIONS[kind](x)
    np.testing.assert_allclose(run(FUNCTIONS[kind](), x), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(POSITIVE))
def test_functions_of_positive_numbers_agree_with_numpy(kind: str) -> None:
    x = np.abs(normal(40)) + f32(0.1)
    given_x = INTO[kind](x) if kind in INTO else x
    np.testing.assert_allclose(run(FUNCTIONS[kind](), given_x), POSITIVE[kind](x), rtol=2e-5)


BINARY: list[tuple[Op, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    (ew.Add(), np.add),
    (ew.Sub(), np.subtract),
    (ew.Mul(), np.multiply),
    (ew.Div(), np.divide),
    (ew.Minimum(), np.minimum),
    (ew.Maximum(), np.maximum),
    (ew.Mod(fmod=True), np.fmod),
    (logic.Equal(), np.equal),
    (logic.Less(), np.less),
    (logic.LessEqual(), np.less_equal),
    (logic.Greater(), np.greater),
    (logic.GreaterEqual(), np.greater_equal),
]


@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4),
    pair=st.sampled_from(BINARY),
    seed=st.integers(0, 9),
)
def test_binary_ops_broadcast_as_numpy(
    shapes: hnp.BroadcastableShapes,
    pair: tuple[Op, Callable[[np.ndarray, np.ndarray], np.ndarray]],
    seed: int,
) -> None:
    op, expected = pair
    a = np.round(normal(*shapes.input_shapes[0], seed=seed), 1)
    b = np.round(normal(*shapes.input_shapes[1], seed=seed + 1), 1) + f32(0.05)
    np.testing.assert_allclose(run(op, a, b), expected(a, b), rtol=1e-6, atol=1e-6)


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(VerificationError, match="add cannot broadcast"):
        ew.Add().infer(TensorType((2, 3)), TensorType((2, 4)))


def test_mixed_element_types_are_refused() -> None:
    with pytest.raises(VerificationError, match="one element type"):
        run(ew.Mul(), normal(2), np.zeros(2, np.int32))


def test_integers_divide_towards_zero_and_wrap_signs_of_remainders() -> None:
    a, b = i32([7, -7, 7, -7]), i32([2, 2, -2, -2])
    assert run(ew.Div(), a, b).tolist() == [3, -3, -3, 3]
    assert run(ew.Mod(), a, b).tolist() == [1, 1, -1, -1]
    assert run(ew.Mod(fmod=True), a, b).tolist() == [1, -1, 1, -1]
    assert run(ew.Shift(True), a[:1], b[:1]).tolist() == [28]
    assert run(ew.Shift(False), a[:1], b[:1]).tolist() == [1]


def test_pow_keeps_the_type_of_its_base() -> None:
    assert run(ew.Pow(), i32([2, 3]), f32([3, 2])).tolist() == [8, 9]
    assert run(ew.Pow(), f32([4, 9]), i64([2, 1])).tolist() == [16, 9]
    assert run(ew.Pow(), i32([2, 3]), i64([3, 2])).tolist() == [8, 9]


def test_logic_works_on_truth_values_and_bits() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, False])
    assert run(logic.And(), a, b).tolist() == [True, False, False]
    assert run(logic.Or(), a, b).tolist() == [True, True, False]
    assert run(logic.Xor(), a, b).tolist() == [False, True, False]
    assert run(logic.Not(), a).tolist() == [False, False, True]
    assert run(logic.And(), i32([12]), i32([10])).tolist() == [8]
    assert run(logic.Not(), u8([1])).tolist() == [254]
    with pytest.raises(VerificationError, match="bool or an integer"):
        run(logic.Or(), normal(1), normal(1))


def test_special_numbers_are_found() -> None:
    x = f32([inf, -inf, nan, 1])
    assert run(logic.IsInf(), x).tolist() == [True, True, False, False]
    assert run(logic.IsInf(positive=False), x).tolist() == [False, True, False, False]
    assert run(logic.IsInf(negative=False), x).tolist() == [True, False, False, False]
    assert run(logic.IsNan(), x).tolist() == [False, False, True, False]


def test_where_broadcasts_all_three() -> None:
    condition = np.array([[True], [False]])
    found = run(logic.Where(), condition, f32([1, 2, 3]), f32(0))
    assert found.tolist() == [[1, 2, 3], [0, 0, 0]]


def test_prelu_takes_one_slope_a_channel() -> None:
    x, slope = normal(2, 3, 4, 4), f32([0.1, 0.2, 0.3])
    expected = F.prelu(torch.from_numpy(x), torch.from_numpy(slope)).numpy()
    np.testing.assert_allclose(run(act.Prelu(), x, slope[:, None, None]), expected, rtol=1e-6)


def test_clip_of_integers_needs_no_bounds() -> None:
    assert run(act.Clip(), i32([1, -5])).tolist() == [1, -5]
    assert run(act.Clip(low=-2), i32([1, -5])).tolist() == [1, -2]


def test_hardmax_marks_the_first_largest() -> None:
    x = f32([[1, 3, 3], [2, 0, 1]])
    assert run(softmax.Hardmax(1), x).tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("dtype", ["i8", "u8", "i32", "i64", "f16", "f64", "bool"])
def test_cast_agrees_with_numpy(dtype: str) -> None:
    from codesign.ir.dtype import DType

    x = f32([0, 0.5, -0.0, 1.9, 100.2])
    expected = x.astype(DType(dtype).numpy)
    found = run(Cast(dtype), x)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_cast_refuses_an_unknown_element_type() -> None:
    with pytest.raises(VerificationError, match="cast knows element types"):
        run(Cast("f8"), normal(2))
