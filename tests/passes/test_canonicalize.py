from collections.abc import Callable
from math import pi, sqrt

import numpy as np
import pytest

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import (
    Clip,
    Gelu,
    HardSigmoid,
    HardSwish,
    Relu,
    Sigmoid,
    Tanh,
)
from codesign.ir.ops.cast import Cast
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Div, Maximum, Minimum, Mul, Pow, Sub
from codesign.ir.ops.join import Concat, Pad, Slice
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.norm import LayerNorm
from codesign.ir.ops.pool import AvgPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Expand, Flatten, Reshape, Squeeze, Transpose
from codesign.ir.ops.unary import Erf, Reciprocal, Sqrt
from codesign.rewrite.context import Context
from tests.passes.harness import apply, kinds, lines, same

Make = Callable[[Builder, str], str]


def number(b: Builder, value: float, *shape: int) -> str:
    return b.constant(np.full(shape, value, np.float32), "c")


def ramp(b: Builder, *shape: int) -> str:
    return b.constant(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), "c")


def hard_swish(b: Builder, x: str) -> str:
    shifted = b.op(Clip(0.0, 6.0), b.op(Add(), number(b, 3), x))
    return b.op(Div(), b.op(Mul(), shifted, x), number(b, 6))


def hard_swish_of_sigmoid(b: Builder, x: str) -> str:
    return b.op(Mul(), b.op(HardSigmoid(1 / 6, 0.5), x), x)


def hard_sigmoid(b: Builder, x: str) -> str:
    relu6 = b.op(Minimum(), b.op(Relu(), b.op(Add(), x, number(b, 3))), number(b, 6))
    return b.op(Mul(), relu6, number(b, 1 / 6))


def silu(b: Builder, x: str) -> str:
    return b.op(Mul(), b.op(Sigmoid(), x), x)


def gelu(b: Builder, x: str) -> str:
    erf = b.op(Erf(), b.op(Div(), x, number(b, sqrt(2))))
    return b.op(Mul(), b.op(Mul(), x, b.op(Add(), erf, number(b, 1))), number(b, 0.5))


def gelu_of_half(b: Builder, x: str) -> str:
    erf = b.op(Erf(), b.op(Mul(), x, number(b, sqrt(0.5))))
    return b.op(Mul(), b.op(Mul(), x, number(b, 0.5)), b.op(Add(), erf, number(b, 1)))


def gelu_of_tanh(b: Builder, x: str) -> str:
    cubic = b.op(Mul(), b.op(Pow(), x, number(b, 3)), number(b, 0.044715))
    inner = b.op(Mul(), b.op(Add(), x, cubic), number(b, sqrt(2 / pi)))
    outer = b.op(Add(), b.op(Tanh(), inner), number(b, 1))
    return b.op(Mul(), number(b, 0.5), b.op(Mul(), x, outer))


def layer_norm(b: Builder, x: str) -> str:
    centred = b.op(Sub(), x, b.op(ReduceMean((3,), True), x))
    variance = b.op(ReduceMean((3,), True), b.op(Pow(), centred, number(b, 2)))
    root = b.op(Sqrt(), b.op(Add(), variance, number(b, 1e-5)))
    scaled = b.op(Mul(), b.op(Div(), centred, root), ramp(b, 6))
    return b.op(Add(), scaled, ramp(b, 6))


def layer_norm_of_reciprocal(b: Builder, x: str) -> str:
    centred = b.op(Sub(), x, b.op(ReduceMean((2, 3), True), x))
    variance = b.op(ReduceMean((2, 3), True), b.op(Mul(), centred, centred))
    root = b.op(Sqrt(), b.op(Add(), variance, number(b, 1e-5)))
    return b.op(Mul(), centred, b.op(Reciprocal(), root))


def scaled_after_shift(b: Builder, x: str) -> str:
    """The scale applies to the shift too, so the norm, which shifts last, cannot take it."""
    shifted = b.op(Add(), b.op(LayerNorm(3), x), ramp(b, 6))
    return b.op(Mul(), shifted, ramp(b, 6))


def hard_sigmoid_of_linear(b: Builder, x: str) -> str:
    """The 3 that is added is a bias to one rule and a part of the hard-sigmoid to another."""
    shifted = b.op(Add(), b.op(Linear(), x, ramp(b, 5, 6)), number(b, 3, 5))
    return b.op(Mul(), b.op(Clip(0.0, 6.0), shifted), number(b, 1 / 6))


def linear(b: Builder, x: str) -> str:
    return b.op(Add(), ramp(b, 5), b.op(MatMul(), x, ramp(b, 6, 5)))


def identities(b: Builder, x: str) -> str:
    x = b.op(Sub(), b.op(Add(), number(b, 0), x), number(b, 0))
    x = b.op(Pow(), b.op(Div(), b.op(Mul(), x, number(b, 1)), number(b, 1, 1, 1)), number(b, 1))
    x = b.op(Slice((0,), (0,), (2,), (1,)), b.op(Expand((2, 4, 6, 6)), x))
    x = b.op(Concat(1), b.op(Cast(DType.F32), b.op(Reshape((2, 4, 6, 6)), x)))
    return b.op(Relu(), b.op(Clip(), b.op(Pad(((0, 0),) * 4), x)))


def clips(b: Builder, x: str) -> str:
    x = b.op(Minimum(), b.op(Maximum(), number(b, -1), x), number(b, 4))
    return b.op(Clip(0.0, 3.0), b.op(Clip(-0.5, 6.0), x))


def reshapes(b: Builder, x: str) -> str:
    return b.op(Reshape((2, 36, 4)), b.op(Flatten(1), b.op(Reshape((8, 6, 6)), x)))


def transposes(b: Builder, x: str) -> str:
    return b.op(Transpose((0, 3, 1, 2)), b.op(Transpose((0, 2, 3, 1)), x))


def two_transposes(b: Builder, x: str) -> str:
    return b.op(Transpose((1, 0, 2, 3)), b.op(Transpose((0, 3, 1, 2)), x))


def still_transpose(b: Builder, x: str) -> str:
    mean = b.op(ReduceMean((2, 3), True), x)
    return b.op(Squeeze((1, 2)), b.op(Transpose((0, 2, 3, 1)), mean))


def padded_conv(b: Builder, x: str) -> str:
    around = b.op(Pad(((0, 0), (0, 0), (1, 0), (2, 1))), x)
    return b.op(Conv((1, 1), ((0, 1), (0, 0))), around, ramp(b, 3, 4, 3, 3))


def global_pool(b: Builder, x: str) -> str:
    return b.op(AvgPool((6, 6), (1, 1), ((0, 0),) * 2), x)


CASES: list[tuple[Make, list[str]]] = [
    (hard_swish, ["hard_swish"]),
    (hard_swish_of_sigmoid, ["hard_swish"]),
    (hard_sigmoid, ["hard_sigmoid"]),
    (silu, ["silu"]),
    (gelu, ["gelu"]),
    (gelu_of_half, ["gelu"]),
    (gelu_of_tanh, ["gelu"]),
    (layer_norm, ["layer_norm"]),
    (layer_norm_of_reciprocal, ["layer_norm"]),
    (scaled_after_shift, ["layer_norm", "mul"]),
    (hard_sigmoid_of_linear, ["linear", "hard_sigmoid"]),
    (linear, ["linear"]),
    (identities, ["relu"]),
    (clips, ["clip"]),
    (reshapes, ["reshape"]),
    (transposes, []),
    (two_transposes, ["transpose"]),
    (still_transpose, ["reduce_mean", "reshape"]),
    (padded_conv, ["conv"]),
    (global_pool, ["reduce_mean"]),
]


def graph_of(make: Make) -> Graph:
    b = Builder()
    return b.graph(make(b, b.input("x", (2, 4, 6, 6))), output_names=["out"])


@pytest.mark.parametrize(("make", "wanted"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_found(make: Make, wanted: list[str]) -> None:
    before = graph_of(make)
    after = apply(before, "canonicalize")
    assert kinds(after) == wanted
    same(before, after)


def clip_of_seven(b: Builder, x: str) -> str:
    shifted = b.op(Clip(0.0, 7.0), b.op(Add(), x, number(b, 3)))
    return b.op(Div(), b.op(Mul(), x, shifted), number(b, 6))


def gate_of_another(b: Builder, x: str) -> str:
    return b.op(Mul(), b.op(Sigmoid(), b.op(Tanh(), x)), x)


def norm_over_channels(b: Builder, x: str) -> str:
    centred = b.op(Sub(), x, b.op(ReduceMean((1,), True), x))
    variance = b.op(ReduceMean((1,), True), b.op(Mul(), centred, centred))
    return b.op(Div(), centred, b.op(Sqrt(), b.op(Add(), variance, number(b, 1e-5))))


def pad_of_ones(b: Builder, x: str) -> str:
    around = b.op(Pad(((0, 0), (0, 0), (1, 1), (1, 1)), "constant", 1.0), x)
    return b.op(Conv(), around, ramp(b, 3, 4, 3, 3))


def pad_of_channels(b: Builder, x: str) -> str:
    around = b.op(Pad(((0, 0), (1, 0), (0, 0), (0, 0))), x)
    return b.op(Conv(), around, ramp(b, 3, 5, 3, 3))


def zero_that_broadcasts(b: Builder, x: str) -> str:
    return b.op(Add(), x, number(b, 0, 3, 1, 1, 1, 1))


def gelu_that_broadcasts(b: Builder, x: str) -> str:
    erf = b.op(Erf(), b.op(Mul(), x, number(b, sqrt(0.5))))
    whole = b.op(Mul(), x, b.op(Add(), erf, number(b, 1)))
    return b.op(Mul(), whole, number(b, 0.5, 3, 1, 1, 1, 1))


def bias_that_adds_an_axis(b: Builder, x: str) -> str:
    return b.op(Add(), b.op(Linear(), x, ramp(b, 5, 6)), ramp(b, 1, 1, 1, 1, 5))


def scale_that_adds_an_axis(b: Builder, x: str) -> str:
    return b.op(Mul(), b.op(LayerNorm(3), x), ramp(b, 1, 1, 1, 1, 6))


def reversed_slice(b: Builder, x: str) -> str:
    return b.op(Slice((3,), (5,), (-7,), (-1,)), x)


@pytest.mark.parametrize(
    "make",
    [
        clip_of_seven, gate_of_another, norm_over_channels, pad_of_ones, pad_of_channels,
        zero_that_broadcasts, reversed_slice, gelu_that_broadcasts, bias_that_adds_an_axis,
        scale_that_adds_an_axis,
    ],
)  # fmt: skip
def test_left_alone(make: Make) -> None:
    before = graph_of(make)
    assert apply(before, "canonicalize") == before


def test_empty_clips_keep_their_bounds() -> None:
    def make(b: Builder, x: str) -> str:
        return b.op(Clip(5.0, 6.0), b.op(Clip(0.0, 1.0), x))

    before = graph_of(make)
    same(before, apply(before, "canonicalize"), 0)


def test_reshapes_of_codes_stay() -> None:
    b = Builder()
    x = b.input("x", (4, 6))
    y = b.op(Reshape((24,)), b.op(Reshape((2, 12)), x, name="a"), name="b")
    b.types["b"] = b.types["b"].with_encoding(Int(8, signed=False))
    before = b.graph(b.op(Relu(), y))
    assert "reshape" in kinds(apply(before, "canonicalize"))


def test_what_replaces_a_result_in_codes_is_in_codes() -> None:
    b, form = Builder(), Int(4, Const(0.4, "float32"), signed=False)
    y = b.op(Clip(0.0, 6.0), b.op(Relu(), b.input("x", (4, 6))), name="y")
    b.types[y] = b.types[y].with_encoding(form)
    before = b.graph(y)
    after = apply(before, "canonicalize")
    assert lines(after) == ["y=clip(x)"] and after.types["y"].integer == form
    same(before, after, 0)


def test_a_clip_that_only_rounds_stays() -> None:
    b, form = Builder(), Int(4, Const(0.4, "float32"), signed=False)
    y = b.op(Clip(), b.input("x", (4, 6)), name="y")
    b.types[y] = b.types[y].with_encoding(form)
    assert apply(b.graph(y), "canonicalize").types["y"].integer == form


def test_rounds_and_notes() -> None:
    before, context = graph_of(hard_swish), Context()
    apply(before, "canonicalize", context)
    assert [note.layer for note in context.notes] == ["div"]
    with pytest.raises(UsageError, match="rounds is 0"):
        apply(before, "canonicalize{rounds=0}")


def test_shared_pieces_are_kept_for_their_other_reader() -> None:
    b = Builder()
    x = b.input("x", (2, 4))
    s = b.op(Sigmoid(), x, name="s")
    before = b.graph(b.op(Mul(), x, s, name="y"), s)
    after = apply(before, "canonicalize")
    assert kinds(after) == ["sigmoid", "silu"] or kinds(after) == ["silu", "sigmoid"]
    same(before, after)


def test_ops_have_their_usual_form() -> None:
    assert apply(graph_of(gelu_of_tanh), "canonicalize").nodes[0].op == Gelu("tanh")
    assert apply(graph_of(hard_swish), "canonicalize").nodes[0].op == HardSwish()
    norm = apply(graph_of(layer_norm), "canonicalize").nodes[0].op
    assert isinstance(norm, LayerNorm) and norm.epsilon == pytest.approx(1e-5)
