"""Models that others quantized, in forms that no kernel takes as they are."""

from dataclasses import replace

import numpy as np
import pytest

from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Binary, Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Codes, Decode, Encode
from codesign.ir.ops.join import Concat, Split
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.softmax import Softmax
from codesign.ir.program import Program
from codesign.passes.simplify.codes import unify
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, kinds, same
from tests.strategies import inputs_of

GRID = Int(8, Const(np.float32(0.05)), Const(np.int32(7)))
OTHER = Int(8, Const(np.float32(0.1)), Const(np.int32(-3)))


class Coded(Builder):
    """A builder whose values get encodings."""

    def __init__(self, *shape: int, form: Int = GRID) -> None:
        super().__init__("coded")
        self.x = self.coded(Encode(), self.input("x", shape or (1, 4, 6, 6)), form=form)

    def coded(self, op: object, *inputs: str, form: Int = GRID, name: str = "v") -> str:
        value = self.op(op, *inputs, name=name)  # type: ignore[arg-type]
        self.types[value] = self.types[value].with_encoding(form)
        return value

    def weight(self, shape: tuple[int, ...], zero: int = 0, signed: bool = True) -> str:
        form = Int(8, Const(np.float32(0.02)), Const(np.int32(zero)), signed)
        codes = np.random.default_rng(0).integers(form.low, form.high + 1, shape)
        values = form.decode({"values": codes}, shape)
        return self.constant(values, "w", (form,))

    def finish(self, *values: str) -> Graph:
        plain = [self.op(Decode(), v) if self.types[v].integer else v for v in values]
        return self.graph(*plain, output_names=[f"out{i}" for i in range(len(plain))])


def agree(before: Graph, after: Graph, steps: float, size: float) -> None:
    """Integer meanings agree to `steps` of `size`; kernels take every op."""
    data = inputs_of(before)
    want, got = evaluate_integer(before, data), evaluate_integer(after, data)
    for name, array in want.items():
        assert np.abs(array - got[name]).max() <= steps * size * 1.001, name
    Cpu("avx2").place(Program(after))
    assert unify(after) == after


def test_unsigned_and_signed_codes_mean_the_same() -> None:
    b = Coded()
    y = b.coded(Conv(), b.x, b.weight((3, 4, 3, 3), 128, False), form=OTHER)
    before = b.finish(b.coded(MaxPool((2, 2), (2, 2), ((0, 0),) * 2), y, form=OTHER))
    after = unify(before)
    assert kinds(after) == kinds(before)
    forms = [kind.integer for v, kind in after.types.items() if v not in after.constants]
    assert all(form is None or not form.signed for form in forms)
    weight = after.types[after.nodes[1].operands[1]].integer
    assert weight is not None and weight.signed and weight.symmetric
    same(before, after, 0)
    agree(before, after, 1, 0.1)  # the interpreter takes asymmetric weights through floats


def test_what_is_read_as_numbers_keeps_its_codes() -> None:
    b = Coded()
    before = b.graph(b.op(Codes(), b.x), output_names=["codes"])
    after = unify(before)
    assert after is before


def test_float_biases_become_codes_of_the_accumulator() -> None:
    b = Coded()
    bias = b.constant(np.array([0.5, -1.25, 3.0], np.float32), "b")
    before = b.finish(b.coded(Conv(), b.x, b.weight((3, 4, 3, 3)), bias, form=OTHER))
    after = unify(before)
    form = after.types[after.nodes[1].operands[2]].integer
    assert form is not None and form.width == 32
    same(before, after, 0.03)
    agree(before, after, 1, 0.1)


def test_moved_values_take_the_encoding_of_the_result() -> None:
    b = Coded()
    other = b.coded(Conv(), b.x, b.weight((3, 4, 1, 1)), form=OTHER)
    joined = b.coded(Concat(1), b.x, other, b.x, form=OTHER, name="joined")
    left, right = b.results(Split(1, (5, 6)), joined, names=["left", "right"])
    for value in (left, right):
        b.types[value] = b.types[value].with_encoding(OTHER)
    before = b.finish(left, right)
    after = unify(before)
    assert kinds(after) == ["encode", "conv", "encode", "concat", "split", "decode", "decode"]
    same(before, after, 0)
    agree(before, after, 1, 0.1)


def asymmetric_weight(b: Coded) -> str:
    return b.coded(Conv(), b.x, b.weight((3, 4, 3, 3), 5))


def grouped(b: Coded) -> str:
    return b.coded(Conv(groups=2), b.x, b.weight((6, 2, 3, 3)))


def softmax(b: Coded) -> str:
    return b.coded(Softmax(1), b.x)


def padded_average(b: Coded) -> str:
    return b.coded(AvgPool((3, 3), (1, 1), ((1, 1),) * 2), b.x)


def mean_of_channels(b: Coded) -> str:
    return b.coded(ReduceMean((1,), True), b.x)


def split_apart(b: Coded) -> str:
    values = b.results(Split(1, (1, 3)), b.x, names=["p", "q"])
    for value, form in zip(values, (GRID, OTHER), strict=True):
        b.types[value] = b.types[value].with_encoding(form)
    return values[1]


@pytest.mark.parametrize(
    "make", [asymmetric_weight, grouped, softmax, padded_average, mean_of_channels, split_apart]
)
def test_what_has_no_integer_kernel_is_computed_on_numbers(make: object) -> None:
    b = Coded()
    before = b.finish(make(b))  # type: ignore[operator]
    after = unify(before)
    assert "decode" in kinds(after)[1:-1]
    same(before, after, 0 if make is not grouped else 1e-6)
    agree(before, after, 1, 0.1)


def test_wide_codes_go_through_numbers_too() -> None:
    wide = Int(16, Const(np.float32(0.001)), Const(np.int32(0)))
    b = Coded(form=wide)
    before = b.finish(b.coded(Conv(), b.x, b.weight((3, 4, 3, 3))))
    after = unify(before)
    same(before, after, 0)
    agree(before, after, 1, 0.05)


def test_layers_of_signs_keep_the_codes_of_the_other_factor() -> None:
    b = Coded()
    form = Binary(Const(np.linspace(0.1, 0.3, 3, dtype=np.float32)), 0)
    signs = np.sign(np.random.default_rng(1).standard_normal((3, 4, 3, 3)))
    values = form.decode(form.encode(signs.astype(np.float32)), (3, 4, 3, 3))
    weight = b.constant(values, "w", (form,))
    before = b.graph(b.op(Conv(), b.x, weight, b.constant(np.ones(3, np.float32)), name="y"))
    after = unify(before)
    assert kinds(after) == ["encode", "conv"]
    assert after.types["v"].integer == replace(GRID, signed=False, zero=Const(135, "int32"))
    assert after.types[after.nodes[1].operands[2]].encodings == ()  # a bias of floats is exact
    data = inputs_of(before)
    want, got = (evaluate_integer(g, data)["y"] for g in (before, after))
    np.testing.assert_array_equal(got, want)


def test_a_graph_without_codes_is_left_alone() -> None:
    b = Builder()
    before = b.graph(b.input("x", (2,)))
    assert unify(before) is before


def test_both_passes_do_it() -> None:
    b = Coded()
    before = b.finish(b.coded(Conv(), b.x, b.weight((3, 4, 3, 3)), form=OTHER))
    after = unify(before)
    assert after != before
    assert apply(before, "canonicalize") == after == apply(before, "quantize-int8")
    data = inputs_of(before)
    assert evaluate(before, data)["out0"].any()
    assert replace(OTHER, signed=False, zero=Const(125, "int32")) == after.types["v_1"].integer
