"""Layers of one to three bits: what they store, what they mean, and which are left alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign import plugins
from codesign.analysis.ranges import BINS, Histogram
from codesign.analysis.signs import nonnegative
from codesign.errors import UnknownNameError, UsageError
from codesign.interpret.evaluate import evaluate, trace
from codesign.interpret.integer import evaluate_integer
from codesign.ir import encoding as enc
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings import Binary, Int, Ternary
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu, Sigmoid
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul, Sub
from codesign.ir.ops.join import Pad
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.shape import Flatten
from codesign.passes.binarize.inputs import input_form
from codesign.passes.binarize.weights import Weights, weight_form
from codesign.rewrite.context import Context
from tests.ir.running import f32, normal
from tests.passes.harness import apply, calibrated
from tests.strategies import inputs_of

PADDED = ((1, 1), (1, 1))


def network() -> Graph:
    """A stem, a convolution by channel, a residual sum behind a batch norm, and a classifier."""
    b = Builder()
    y = b.op(Conv(pads=PADDED), b.input("x", (1, 3, 8, 8)), _w(b, 6, 3, 3, 3), name="stem")
    y = b.op(Relu(), y, name="stem.relu")
    z = b.op(Conv(pads=PADDED, groups=6), y, _w(b, 6, 1, 3, 3, seed=1), name="by_channel")
    norm = [b.constant(f32(v), "n") for v in (np.ones(6), np.zeros(6), np.zeros(6), np.ones(6))]
    z = b.op(BatchNorm(), z, *norm, name="norm")
    y = b.op(Add(), b.op(Relu(), z, name="relu"), y, name="sum")
    bias = b.constant(normal(5, seed=3), "bias")
    y = b.op(Conv(), b.op(Sub(), y, b.constant(f32(0.7)), name="less"), _w(b, 5, 6, 1, 1), bias)
    y = b.op(Linear(), b.op(Flatten(1), y, name="flat"), _w(b, 4, 320, seed=2), name="last")
    return b.graph(y)


def _w(b: Builder, *shape: int, seed: int = 0) -> str:
    return b.constant(normal(*shape, seed=seed) * 0.3, "w")


def binarized(graph: Graph, options: str = "") -> tuple[Graph, Context]:
    context = calibrated(graph)
    return apply(graph, f"binarize{options}", context), context


def weight(graph: Graph, layer: str) -> tuple[np.ndarray, object]:
    value = graph.by_name[layer].operands[1]
    return graph.constants[value].array, graph.types[value].element


def test_inner_layers_become_binary_and_the_ends_stay() -> None:
    before = network()
    after, context = binarized(before)
    done = {note.layer: note for note in context.notes}
    assert [n for n, note in done.items() if note.done] == ["by_channel", "conv"]
    assert "no layer before or behind" in done["stem"].text and not done["last"].done
    w, form = weight(after, "by_channel")
    old, _ = weight(before, "by_channel")
    assert isinstance(form, Binary) and form.axis == 0
    np.testing.assert_allclose(form.scale.array, np.abs(old).mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(np.sign(w), np.where(old >= 0, 1, -1))
    # behind the relu 0 or a step, where there may be less than 0 a sign
    assert isinstance(bit := after.types["stem.relu.bits"].element, Int)
    assert (bit.width, bit.signed) == (1, False)
    assert isinstance(after.types["less.bits"].element, Binary)
    # the sum reads the value itself
    assert after.by_name["sum"].operands == before.by_name["sum"].operands
    assert after.by_name["by_channel"].operands[0] == "stem.relu.bits"
    assert after.by_name["conv"].operands[2] == "bias"


@pytest.mark.parametrize(
    "options",
    ["", "{method=bnn}", "{method=binary-connect}", "{weights=ternary}", "{weights=3}",
     "{weights=ternary,method=bnn,activations=2}", "{weights=2,activations=3}", "{ends=true}"],
)  # fmt: skip
def test_the_meaning_in_floats_is_that_in_codes(options: str) -> None:
    after, _ = binarized(network(), options)
    data = inputs_of(after, 11)
    want, found = evaluate(after, data), evaluate_integer(after, data)
    for name in want:
        np.testing.assert_allclose(found[name], want[name], rtol=1e-4, atol=1e-4)
    for node in after.nodes:
        if node.kind in ("conv", "linear") and node.operands[1] in after.constants:
            kind = after.types[node.operands[1]]
            array = after.constants[node.operands[1]].array
            np.testing.assert_array_equal(enc.project(kind.encodings, array), array)


def test_bnn_multiplies_by_nothing() -> None:
    after, _ = binarized(network(), "{method=bnn}")
    assert weight(after, "conv")[1] == Binary()
    assert after.types["less.bits"].element == Binary()
    three, _ = binarized(network(), "{method=bnn,weights=ternary}")
    w, form = weight(three, "conv")
    assert isinstance(form, Ternary) and float(form.scale.array) == 1
    assert set(np.unique(w)) <= {-1.0, 0.0, 1.0}


def test_binary_connect_leaves_inputs_alone_and_needs_no_data() -> None:
    after = apply(network(), "binarize{method=binary-connect}")
    assert not list(after.walk("encode"))
    assert weight(after, "conv")[1] == Binary()


def test_the_ends_and_skipped_layers() -> None:
    after, _ = binarized(network(), "{ends=true,skip=[by_*]}")
    coded = [n.name for n in after.nodes if n.kind in ("conv", "linear")
             and after.types[n.operands[1]].element is not None]  # fmt: skip
    assert coded == ["stem", "conv", "last"]
    with pytest.raises(UnknownNameError, match="skip of binarize"):
        binarized(network(), "{skip=nothing}")


def test_two_layers_that_read_one_value_read_one_encoding() -> None:
    b = Builder()
    y = b.op(Relu(), b.op(Conv(), b.input("x", (1, 3, 5, 5)), _w(b, 4, 3, 1, 1), name="a"))
    w = _w(b, 4, 4, 1, 1, seed=4)
    both = b.op(Add(), b.op(Conv(), y, w, name="b"), b.op(Conv(), y, w, name="c"), name="sum")
    graph = b.graph(b.op(Conv(), both, _w(b, 2, 4, 1, 1), name="d"))
    after, _ = binarized(graph)
    assert len(list(after.walk("encode"))) == 1
    assert after.by_name["b"].operands == after.by_name["c"].operands


def test_ternary_weights_are_those_of_li() -> None:
    """Ternary weight networks, 2016, eq. 6: threshold 0.7 mean|w|, the scale the mean above it."""
    w = normal(3, 40)
    form = weight_form(w, "ternary", True)
    size = np.abs(w.astype(np.float64))
    assert isinstance(form, Ternary)
    low = 0.7 * size.mean(1)
    np.testing.assert_allclose(form.threshold.array, low, rtol=1e-6)
    want = [row[row > t].mean() for row, t in zip(size, low, strict=True)]
    np.testing.assert_allclose(form.scale.array, want, rtol=1e-6)


KINDS: list[Weights] = ["binary", "ternary", 2, 3]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(KINDS),
    st.booleans(),
    st.sampled_from([0.0, 1e-30, 1.0, 1e20]),
    st.integers(0, 9),
)
def test_any_finite_weight_has_a_form(kind: Weights, scaled: bool, size: float, seed: int) -> None:
    w = normal(4, 3, 2, seed=seed) * np.float32(size)
    w[1] = 0
    form = weight_form(w, kind, scaled or isinstance(kind, int))
    form.check(w.shape)
    once = enc.project((form,), w)
    np.testing.assert_array_equal(enc.project((form,), once), once)


@pytest.mark.parametrize("bits", [2, 3])
def test_steps_of_weights_lose_little(bits: Weights) -> None:
    assert isinstance(bits, int)
    w = normal(8, 200)
    form = weight_form(w, bits, True)
    assert isinstance(form, Int)
    lost = ((enc.project((form,), w) - w) ** 2).mean(1)
    whole = Int(bits, Const(np.abs(w).max(1) / form.high, "float32"), form.zero, axis=0)
    assert (lost <= ((enc.project((whole,), w) - w) ** 2).mean(1)).all()
    assert lost.max() < {2: 0.3, 3: 0.06}[bits]


def test_steps_of_inputs_have_the_least_error() -> None:
    x = np.abs(normal(20000)).astype(np.float64)
    counts = np.histogram(x, BINS, (0, x.max()))[0]
    histogram = Histogram(0.0, float(x.max()), counts)
    for bits in (1, 2, 3):
        form = input_form(histogram, bits, unsigned=True, scaled=True)
        assert isinstance(form, Int) and (form.width, form.signed) == (bits, False)

        def lost(step: float, form: Int = form) -> float:
            rounded = np.clip(np.rint(x / step), 0, form.high) * step
            return float(((rounded - x) ** 2).mean())

        best = min(lost(float(s)) for s in np.linspace(0.02, 3, 400))
        assert lost(float(form.scale.array)) < 1.02 * best
    sign = input_form(Histogram(-1.0, 1.0, np.ones(BINS, np.int64)), 1, False, True)
    assert isinstance(sign, Binary) and float(sign.scale.array) == pytest.approx(0.5, rel=1e-3)
    dead = input_form(Histogram(0.0, 1e-6, np.eye(1, BINS, dtype=np.int64)[0]), 1, True, True)
    dead.check((4,))


def test_what_cannot_be_negative_is_known() -> None:
    b = Builder()
    x = b.input("x", (1, 2, 4, 4))
    r, s = b.op(Relu(), x, name="r"), b.op(Sigmoid(), x, name="s")
    yes = [
        r, s, b.op(MaxPool((2, 2)), r, name="pool"), b.op(Add(), r, s, name="sum"),
        b.op(Mul(), r, b.constant(f32(2.0)), name="twice"),
        b.op(Pad(((0, 0), (0, 0), (1, 1), (1, 1))), r, name="pad"),
    ]  # fmt: skip
    no = [
        b.op(Sub(), r, s, name="less"), b.op(Mul(), r, b.constant(f32(-2.0)), name="minus"),
        b.op(Pad(((0, 0), (0, 0), (1, 1), (1, 1)), value=-1.0), r, name="below"),
        b.op(Add(), r, x, name="with_x"),
    ]  # fmt: skip
    graph = b.graph(*yes, *no)
    found = nonnegative(graph)
    assert set(yes) <= found and not found & {*no, "x"}
    values = trace(graph, inputs_of(graph, 5))
    assert all(values[v].min() >= 0 for v in found if v in values)


def refused(graph: Graph, options: str = "{ends=true}") -> str:
    after, context = binarized(graph, options)
    assert after == graph
    (note,) = context.notes
    assert not note.done
    return note.text


def test_what_cannot_be_done_is_said() -> None:
    b = Builder()
    empty = b.graph(b.op(Conv(), b.input("x", (1, 2, 4, 4)), _w(b, 0, 2, 1, 1)))
    assert "no elements" in refused(empty)
    b = Builder()
    half = b.constant(normal(3, 2, 1, 1).astype(np.float16))
    half_ = b.graph(b.op(Conv(), b.input("x", (1, 2, 4, 4), DType.F16), half))
    assert "computes in f16" in refused(half_)
    b = Builder()
    twice = b.graph(b.op(Linear(), b.input("x", (1, 4)), b.input("w", (3, 4))))
    assert "no constant" in refused(twice)
    b = Builder()
    wrong = b.constant(np.full((3, 4), np.nan, np.float32))
    assert "NaN" in refused(b.graph(b.op(Linear(), b.input("x", (1, 4)), wrong)))
    b = Builder()
    codes = (Int(8, Const(0.1, "float32")),)
    int8 = b.constant(enc.project(codes, normal(3, 4)), "w", codes)
    assert "stored as int8" in refused(b.graph(b.op(Linear(), b.input("x", (1, 4)), int8)))
    b = Builder()
    x = b.input("x", (1, 4))
    b.types[x] = b.types[x].with_encoding(codes[0])
    assert "stored as int already" in refused(b.graph(b.op(Linear(), x, _w(b, 3, 4))))
    b = Builder()
    one = b.graph(b.op(Linear(), b.input("x", (1, 4)), _w(b, 3, 4)))
    assert "no layer before or behind" in refused(one, "")


def test_a_second_time_nothing_changes() -> None:
    after, _ = binarized(network())
    again, context = binarized(after)
    assert again == after
    assert all(not note.done for note in context.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{method=binary-connect,activations=1}", "binary-connect leaves inputs alone"),
        ("{weights=2,method=bnn}", "steps of their own"),
        ("{samples=0}", "samples is 0"),
        ("{weights=4}", "expected one of binary, ternary, 2, 3"),
        ("{activations=8}", "activations"),
    ],
)
def test_options_out_of_place_are_refused(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plugins.make("pass", f"binarize{options}")


def test_steps_need_calibration_data() -> None:
    with pytest.raises(UsageError, match="binarize needs calibration data"):
        apply(network(), "binarize", Context())
