"""Binary layers' sums, and what follows them, as integer thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.analysis.steps import no_steps
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.interpret.steps import steps
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Binary, Int, Ternary
from codesign.ir.encodings.grid import Grid
from codesign.ir.ops.activation import Clip, Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.encode import Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm

SMALL = [
    Binary(),
    Int(1, signed=False),
    Int(2, Const(0.5, "float32"), signed=False),
    Int(3, Const(0.25, "float32"), Const(3, "int32"), signed=False),
    Int(2, Const(0.75, "float32")),
    Ternary(),
]
WEIGHTS = ["binary", "ternary", "int2"]


class Layer:
    """conv or linear on codes, batch norm with any scales, perhaps a clamp, and encode."""

    def __init__(self, seed: int, x: Grid, weight: str, out: Grid, clamp: str, conv: bool) -> None:
        self.random = np.random.default_rng(seed)
        channels, depth = int(self.random.integers(1, 6)), int(self.random.integers(1, 5))
        self.b = b = Builder()
        shape = (2, depth, 4, 3) if conv else (3, depth)
        self.x = x.decode({"values": self.codes(x, shape)}, shape)
        value = b.input("x", shape)
        b.types[value] = b.types[value].with_encoding(x)
        taps = (3, 3) if conv else ()
        w = b.constant(*self.weight(weight, (channels, depth, *taps)))
        self.w = w
        op = Conv(pads=((1, 1), (1, 1))) if conv else Linear()
        y = b.op(op, value, w, name="layer")
        y = self.normalized(y, channels, conv)
        if clamp == "relu":
            y = b.op(Relu(), y)
        if clamp == "clip":
            y = b.op(Clip(-0.5, 0.75), y)
        bits = b.op(Encode(), y, name="bits")
        b.types[bits] = b.types[bits].with_encoding(out)
        self.graph = b.graph(bits, output_names=["out"])

    def codes(self, form: Grid, shape: tuple[int, ...]) -> np.ndarray:
        low = form.low if isinstance(form, Int) else -1 if isinstance(form, Ternary) else 0
        return self.random.integers(
            low, low + (3 if form.kind == "ternary" else 1 << form.code_bits), shape
        )

    def weight(self, kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, str, tuple[Grid, ...]]:
        scale = Const(self.random.uniform(0.1, 2, shape[0]).astype(np.float32))
        form: Grid = Binary(scale, 0)
        if kind == "ternary":
            form = Ternary(scale, Const(scale.array / 2), 0)
        if kind == "int2":
            form = Int(2, scale, Const(np.zeros(shape[0], np.int32)), axis=0)
        return form.decode({"values": self.codes(form, shape)}, shape), "w", (form,)

    def normalized(self, y: str, channels: int, conv: bool) -> str:
        """Scales of both signs and zero; means that are sums, so that comparisons tie."""
        r, b = self.random, self.b
        scale = r.choice([-1.5, -0.3, 0.0, 0.4, 1.0], channels).astype(np.float32)
        mean = r.integers(-4, 5, channels).astype(np.float32)
        bias = r.choice([0.0, 0.0, 0.25, -3.0], channels).astype(np.float32)
        var = r.uniform(0.5, 4, channels).astype(np.float32)
        if conv:
            rest = [b.constant(a, n) for a, n in zip((scale, bias, mean, var), "gbmv", strict=True)]
            return b.op(BatchNorm(), y, *rest, name="norm")
        return b.op(Add(), b.op(Mul(), y, b.constant(scale, "g")), b.constant(bias, "b"))


@given(
    st.integers(0, 10**6),
    st.sampled_from(SMALL),
    st.sampled_from(WEIGHTS),
    st.sampled_from(SMALL),
    st.sampled_from(["", "relu", "clip"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_thresholds_on_sums_give_the_codes_of_the_whole_chain(
    seed: int, x: Grid, weight: str, out: Grid, clamp: str, conv: bool
) -> None:
    made = Layer(seed, x, weight, out, clamp, conv)
    graph, (layer, *rest) = made.graph, made.graph.nodes
    assert no_steps(graph, layer, rest) == ""
    found = steps(graph, layer, rest)
    assert (np.diff(found.thresholds, axis=1) >= 0).all()
    sums = exact_sums(made)
    assert np.abs(sums).max() <= found.bound
    want = evaluate_integer(graph, {"x": made.x}, ("bits",))["bits"]
    np.testing.assert_array_equal(found.codes(sums, 1), want)


def exact_sums(made: Layer) -> np.ndarray:
    """The layer's sums of products of multiples, by the float meaning on multiples."""
    graph, layer = made.graph, made.graph.nodes[0]
    forms = [graph.types[v].grid for v in layer.operands]
    x, w = (
        form.multiples(form.encode(array)["values"])
        for form, array in zip(forms, (made.x, graph.constants[made.w].array), strict=True)
        if form is not None
    )
    b = Builder()
    value, weight = b.input("x", x.shape), b.constant(w.astype(np.float32), "w")
    plain = b.graph(b.op(layer.op, value, weight, name="y"))
    sums: np.ndarray = np.rint(evaluate(plain, {"x": x.astype(np.float32)})["y"]).astype(np.int64)
    return sums


def test_a_mean_that_is_a_sum_and_a_negative_scale_tie_exactly() -> None:
    b = Builder()
    x = b.input("x", (1, 3))
    b.types[x] = b.types[x].with_encoding(Binary())
    weight = np.ones((3, 3), np.float32)
    y = b.op(Linear(), x, b.constant(weight, "w", (Binary(),)), name="layer")
    y = b.op(Mul(), y, b.constant(np.array([1, -1, 0], np.float32), "g"))
    y = b.op(Add(), y, b.constant(np.array([-1, 1, -0.5], np.float32), "o"))
    bits = b.op(Encode(), y, name="bits")
    b.types[bits] = b.types[bits].with_encoding(Binary())
    graph = b.graph(bits)
    found = steps(graph, graph.nodes[0], graph.nodes[1:])
    assert found.signs.tolist() == [1, -1, 1]
    assert found.thresholds[:2].tolist() == [[0 + 1], [-1]]  # S >= 1, -S >= -1
    assert found.thresholds[2, 0] == found.bound + 1  # never
    sums = np.array([[-3, -3, -3], [-1, -1, -1], [1, 1, 1], [3, 3, 3]])
    assert found.codes(sums, 1).tolist() == [[0, 1, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("residual", "reads more than %layer and constants"),
        ("wide", "at most 256 levels"),
        ("float", "is not stored in codes"),
        ("map", "varies within a channel"),
        ("square", "reads more than"),
    ],
)
def test_what_is_no_threshold_is_said(change: str, words: str) -> None:
    b = Builder()
    x = b.input("x", (1, 3))
    b.types[x] = b.types[x].with_encoding(Binary())
    weight = b.constant(np.ones((2, 3), np.float32), "w", (Binary(),))
    y = b.op(Linear(), x, weight, name="layer")
    if change == "residual":
        y = b.op(Add(), y, b.input("other", (1, 2)))
    if change == "map":
        y = b.op(Add(), y, b.constant(np.ones((4, 1, 2), np.float32), "o"))
    if change == "square":
        y = b.op(Mul(), y, y)
    bits = b.op(Encode(), y, name="bits")
    out = Int(16) if change == "wide" else Binary()
    if change != "float":
        b.types[bits] = b.types[bits].with_encoding(out)
    graph = b.graph(bits)
    assert words in no_steps(graph, graph.nodes[0], graph.nodes[1:])


def test_floats_are_no_sums() -> None:
    b = Builder()
    y = b.op(Linear(), b.input("x", (1, 3)), b.constant(np.ones((2, 3), np.float32), "w"))
    graph = b.graph(y)
    assert "does not add up products of codes" in no_steps(graph, graph.nodes[0], ())


@pytest.mark.parametrize("digits", [0, 8])
def test_a_bias_in_codes_may_be_finer_than_the_sums(digits: int) -> None:
    b = Builder()
    x = b.input("x", (4, 5))
    b.types[x] = b.types[x].with_encoding(Binary())
    scale = Const(np.array([0.5, 2.0], np.float32))
    random = np.random.default_rng(0)
    weight = random.choice([-1.0, 1.0], (2, 5)).astype(np.float32) * scale.array[:, None]
    bias = np.array([0.3, -1.7], np.float32)
    fine = Const(scale.array / np.float32(2**digits))
    form = Int(32, fine, Const(np.zeros(2, np.int32)), axis=0)
    coded = b.constant(form.decode(form.encode(bias), (2,)), "b", (form,))
    y = b.op(Linear(), x, b.constant(weight, "w", (Binary(scale, 0),)), coded, name="y")
    out = Int(8, Const(0.125, "float32"), Const(100, "int32"), signed=False)
    b.types[y] = b.types[y].with_encoding(out)
    data = random.choice([-1.0, 1.0], (4, 5)).astype(np.float32)
    found = evaluate_integer(b.graph(y, output_names=["out"]), {"x": data}, ("y",))["y"]
    exact = (data.astype(np.float64) @ weight.T + bias) / 0.125 + 100
    slack = scale.array.max() / 2 ** (digits + 1) / 0.125
    error = np.abs(found - np.clip(exact, 0, 255)).max()
    assert error <= 0.5 + 1e-6 + slack
    assert digits or error > 0.5 + slack / 8


def test_a_float_bias_is_added_in_floats() -> None:
    b = Builder()
    x = b.input("x", (2, 3))
    b.types[x] = b.types[x].with_encoding(Binary())
    weight = b.constant(np.full((1, 3), 0.1, np.float32), "w", (Binary(Const(0.1, "float32")),))
    bias = np.array([0.7], np.float32)
    y = b.op(Linear(), x, weight, b.constant(bias), name="y")
    data = np.array([[1, 1, 1], [1, -1, -1]], np.float32)
    found = evaluate_integer(b.graph(y), {"x": data})["y"]
    sums = np.array([[3], [-1]], np.float32)
    np.testing.assert_array_equal(found, sums * np.float32(0.1) + bias)


def test_binary_zero_padding_adds_nothing() -> None:
    b = Builder()
    x = b.input("x", (1, 1, 1, 1))
    b.types[x] = b.types[x].with_encoding(Binary())
    weight = b.constant(np.ones((1, 1, 3, 3), np.float32), "w", (Binary(),))
    y = b.op(Conv(pads=((1, 1), (1, 1))), x, weight, name="y")
    data = np.full((1, 1, 1, 1), -1, np.float32)
    graph = b.graph(y)
    assert evaluate_integer(graph, {"x": data})["y"].item() == -1.0
    assert evaluate(replace(graph), {"x": data})["y"].item() == -1.0
