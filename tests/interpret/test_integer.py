"""The integer meaning against a small re-implementation in Python integers and loops over taps."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Int
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops.activation import Clip, HardSwish, Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.encode import Codes, Decode, Encode
from codesign.ir.ops.join import Concat
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Reshape, Transpose

Array = np.ndarray


@st.composite
def forms(draw: st.DrawFn) -> Int:
    """Unsigned 8-bit codes with some scale and zero point."""
    scale = np.float32(draw(st.floats(1e-3, 10)))
    return Int(8, Const(scale), Const(np.int32(draw(st.integers(0, 255)))), signed=False)


def rounded(acc: int, ratio: Fraction, out: Int, channel: int = 0) -> set[int]:
    """The codes that acc * ratio may become: the nearest, or both beside a near tie."""
    exact = ratio * acc
    slack = Fraction(abs(acc), 1 << 31) * ratio + Fraction(1, 1 << 20)
    zero = int(out.zero.array)
    low, high = (int((exact + s + Fraction(1, 2)).__floor__()) for s in (-slack, slack))
    return {min(max(code + zero, out.low), out.high) for code in range(low, high + 1)}


def scale(form: Int, channel: int = 0) -> Fraction:
    return Fraction(float(form.scale.array.reshape(-1)[channel if form.scale.array.ndim else 0]))


class Case:
    """One op on random codes: its graph, the codes going in, and those coming out."""

    def __init__(self, seed: int) -> None:
        self.b, self.random = Builder(), np.random.default_rng(seed)
        self.data: dict[str, Array] = {}
        self.codes: dict[str, Array] = {}

    def given(self, form: Int, *shape: int) -> str:
        """An input that holds random codes."""
        codes = self.random.integers(form.low, form.high + 1, shape)
        value = self.b.input("x", shape)
        self.data[value] = form.decode({"values": codes}, shape)
        self.codes[value] = codes
        self.b.types[value] = self.b.types[value].with_encoding(form)
        return value

    def weight(self, form: Int, *shape: int) -> str:
        codes = self.random.integers(max(form.low, -999), min(form.high, 999) + 1, shape)
        value = self.b.constant(form.decode({"values": codes}, shape), "w", (form,))
        self.codes[value] = codes
        return value

    def run(self, op: Op, out: Int | None, *inputs: str) -> Array:
        """The codes that `op` makes, or its floats if `out` is None."""
        value = self.b.op(op, *inputs, name="y")
        if out is not None:
            self.b.types[value] = self.b.types[value].with_encoding(out)
        graph = self.b.graph(value, output_names=["y"])
        if out is None:
            return evaluate_integer(graph, self.data)["y"]
        return evaluate_integer(self.renamed(graph), self.data, ("y",))["y"]

    def renamed(self, graph: Graph) -> Graph:
        """`graph` with another public name, so that `y` is the value's codes."""
        return replace(graph, output_names=("logical",))


def weights(case: Case, channels: int, per_channel: bool) -> Int:
    array = case.random.uniform(0.001, 0.1, channels).astype(np.float32)
    zero = np.zeros(channels if per_channel else (), np.int32)
    return Int(
        8, Const(array if per_channel else array[0]), Const(zero), axis=0 if per_channel else None
    )


def accumulator(x: Int, w: Int) -> Int:
    made = x.scale.array * w.scale.array
    return Int(32, Const(made), Const(np.zeros_like(made, np.int32)), axis=0 if made.ndim else None)


def convolve(x: Array, w: Array, op: Conv, zero: int) -> Array:
    """Sums over taps of (x - zero) * w; what lies outside counts nothing."""
    n, _, height, width = x.shape
    m, c, kh, kw = w.shape
    (top, bottom), (left, right) = op.pads
    centred = np.pad(x.astype(object) - zero, ((0, 0), (0, 0), (top, bottom), (left, right)))
    oh = (height + top + bottom - (kh - 1) * op.dilations[0] - 1) // op.strides[0] + 1
    ow = (width + left + right - (kw - 1) * op.dilations[1] - 1) // op.strides[1] + 1
    total = np.zeros((n, m, oh, ow), object)
    for index in np.ndindex(m, c, kh, kw):
        o, i, p, q = index
        channel = o // (m // op.groups) * c + i
        rows = slice(
            p * op.dilations[0], p * op.dilations[0] + (oh - 1) * op.strides[0] + 1, op.strides[0]
        )
        cols = slice(
            q * op.dilations[1], q * op.dilations[1] + (ow - 1) * op.strides[1] + 1, op.strides[1]
        )
        total[:, o] += centred[:, channel, rows, cols] * int(w[index])
    return total


@settings(max_examples=30)
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    case = Case(data.draw(st.integers(0, 999)))
    x_form, out = data.draw(forms()), data.draw(forms())
    groups = data.draw(st.sampled_from([1, 2]))
    strides = data.draw(st.sampled_from([(1, 1), (2, 1)]))
    pads = data.draw(st.sampled_from([((0, 0), (0, 0)), ((1, 2), (0, 1))]))
    op = Conv(strides, pads, data.draw(st.sampled_from([(1, 1), (1, 2)])), groups)
    x = case.given(x_form, 1, 2 * groups, 5, 6)
    w_form = weights(case, 2 * groups, data.draw(st.booleans()))
    w = case.weight(w_form, 2 * groups, 2, 3, 2)
    acc_form = accumulator(x_form, w_form)
    bias = case.weight(acc_form, 2 * groups)
    got = case.run(op, out, x, w, bias)
    want = convolve(case.codes[x], case.codes[w], op, int(x_form.zero.array))
    for index, code in np.ndenumerate(got):
        acc = int(want[index]) + int(case.codes[bias][index[1]])
        ratio = scale(acc_form, index[1]) / scale(out)
        assert int(code) in rounded(acc, ratio, out)


@given(st.data())
def test_linear_layers_into_codes_and_floats(data: st.DataObject) -> None:
    case = Case(data.draw(st.integers(0, 999)))
    x_form, out = data.draw(forms()), data.draw(st.none() | forms())
    x, w_form = case.given(x_form, 2, 3, 7), weights(case, 4, data.draw(st.booleans()))
    w = case.weight(w_form, 4, 7)
    got = case.run(Linear(), out, x, w)
    centred = case.codes[x].astype(object) - int(x_form.zero.array)
    want = centred @ case.codes[w].astype(object).T
    for index, value in np.ndenumerate(got):
        acc, unit = int(want[index]), scale(accumulator(x_form, w_form), index[-1])
        if out is None:
            assert value == np.float32(acc) * np.float32(float(unit))
        else:
            assert int(value) in rounded(acc, unit / scale(out), out)


@given(st.data())
def test_additions_round_once(data: st.DataObject) -> None:
    case = Case(data.draw(st.integers(0, 999)))
    a_form, b_form, out = (data.draw(forms()) for _ in range(3))
    a, b = case.given(a_form, 1, 3, 4), case.given(b_form, 1, 3, 4)
    got = case.run(Add(), out, a, b)
    zeros = int(a_form.zero.array), int(b_form.zero.array)
    for index, code in np.ndenumerate(got):
        p, q = (int(case.codes[v][index]) - z for v, z in zip((a, b), zeros, strict=True))
        exact = (scale(a_form) * p + scale(b_form) * q) / scale(out)
        error = Fraction(abs(p) + abs(q), 1 << 8) * Fraction(1, 1 << 10) + Fraction(1, 1 << 12)
        near = {
            min(max(int((exact + s + Fraction(1, 2)).__floor__()) + int(out.zero.array), 0), 255)
            for s in (-error, error)
        }
        assert int(code) in near


@pytest.mark.parametrize(
    "op", [Relu(), Clip(-1.0, 2.0), Clip(0.0, 6.0), Clip(low=0.5)], ids=lambda op: str(op.kind)
)
@given(form=forms(), seed=st.integers(0, 99))
def test_clamps_of_the_same_encoding_clamp_codes(op: Op, form: Int, seed: int) -> None:
    case = Case(seed)
    x = case.given(form, 3, 5)
    got = case.run(op, form, x)
    low, high = (0.0, np.inf) if isinstance(op, Relu) else (op.low, op.high)  # type: ignore[attr-defined]

    def code(bound: float) -> int:
        wide = np.rint(np.float32(bound) / form.scale.array) + int(form.zero.array)
        return int(np.clip(wide, 0, 255))

    ends = code(low), 255 if high == np.inf else code(high)
    ends = (0 if low == -np.inf else ends[0]), ends[1]
    np.testing.assert_array_equal(
        got, np.clip(np.clip(case.codes[x], ends[0], None), None, ends[1])
    )


@given(form=forms(), seed=st.integers(0, 99))
def test_pools_and_moves_carry_codes(form: Int, seed: int) -> None:
    moves: list[tuple[Op, Callable[[Array], Array]]] = [
        (Transpose((0, 2, 3, 1)), lambda c: c.transpose(0, 2, 3, 1)),
        (Reshape((2, 12, 4)), lambda c: c.reshape(2, 12, 4)),
        (MaxPool((2, 2), (2, 2), ((0, 0),) * 2), lambda c: c.reshape(2, 3, 2, 2, 2, 2).max((3, 5))),
    ]
    for op, move in moves:
        case = Case(seed)
        x = case.given(form, 2, 3, 4, 4)
        np.testing.assert_array_equal(case.run(op, form, x), move(case.codes[x]))


@given(form=forms(), other=forms(), seed=st.integers(0, 99))
def test_what_is_joined_is_rescaled_where_it_must(form: Int, other: Int, seed: int) -> None:
    case = Case(seed)
    a, b = case.given(form, 1, 2, 3), case.given(other, 1, 1, 3)
    got = case.run(Concat(1), form, a, b)
    np.testing.assert_array_equal(got[:, :2], case.codes[a])
    for index, code in np.ndenumerate(got[:, 2:]):
        acc = int(case.codes[b][index]) - int(other.zero.array)
        assert int(code) in rounded(acc, scale(other) / scale(form), form)


@pytest.mark.parametrize("op", [ReduceMean((2, 3), True), AvgPool((3, 2), (1, 2), ((0, 0),) * 2)])
@given(form=forms(), out=forms(), seed=st.integers(0, 99))
def test_averages_are_exact_sums(op: Op, form: Int, out: Int, seed: int) -> None:
    case = Case(seed)
    x = case.given(form, 2, 3, 4, 4)
    got = case.run(op, out, x)
    centred = case.codes[x].astype(object) - int(form.zero.array)
    for index, code in np.ndenumerate(got):
        image, channel, i, j = index
        window = centred[image, channel]
        if isinstance(op, AvgPool):
            window = window[i : i + 3, 2 * j : 2 * j + 2]
        ratio = scale(form) / scale(out) / window.size
        assert int(code) in rounded(int(window.sum()), ratio, out)


@given(form=forms(), out=forms(), seed=st.integers(0, 99))
def test_other_ops_decode_compute_and_encode(form: Int, out: Int, seed: int) -> None:
    case = Case(seed)
    x = case.given(form, 4, 5)
    got = case.run(HardSwish(), out, x)
    values = case.data[x]
    swish = values * np.clip(values + 3, 0, 6) / 6
    assert np.abs(got - out.encode(swish.astype(np.float32))["values"]).max() <= 1


def test_borders_and_raw_codes() -> None:
    b = Builder()
    form = Int(8, Const(np.float32(0.5)), Const(np.int32(10)), signed=False)
    x = b.input("x", (4,))
    coded = b.op(Encode(), x, name="coded")
    b.types[coded] = b.types[coded].with_encoding(form)
    graph = b.graph(b.op(Decode(), coded), b.op(Codes(), coded), output_names=["back", "codes"])
    data = {"x": np.array([0.0, 0.26, -9.0, 300.0], np.float32)}
    found = evaluate_integer(graph, data)
    np.testing.assert_array_equal(found["codes"], [10, 11, 0, 255])
    np.testing.assert_array_equal(found["back"], [0.0, 0.5, -5.0, 122.5])
    fake = evaluate(graph, data)
    assert all((found[name] == fake[name]).all() for name in fake)
