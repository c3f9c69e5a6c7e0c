import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.ir.builder import Builder
from codesign.ir.encodings import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.elementwise import Add, Div, Mul, Sub
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.reduce import ReduceMean
from codesign.rewrite.context import Context
from tests.passes.harness import apply, kinds, lines, same

RANDOM = np.random.default_rng(0)


def weight(b: Builder, *shape: int) -> str:
    return b.constant(RANDOM.standard_normal(shape).astype(np.float32) * 0.3, "w")


def norm(b: Builder, x: str, name: str = "n") -> str:
    c = b.types[x].shape[1]
    arrays = [RANDOM.uniform(0.5, 2, c), *RANDOM.standard_normal((2, c)), RANDOM.uniform(0.5, 2, c)]
    names = [b.constant(a.astype(np.float32), "p") for a in arrays]
    return b.op(BatchNorm(), x, *names, name=name)


def layer(b: Builder, kind: str, x: str) -> str:
    c = b.types[x].shape[1]
    if kind == "linear":
        return b.op(Linear(), x, weight(b, 6, c), weight(b, 6), name="a")
    if kind == "transposed":
        return b.op(ConvTranspose((2, 2), ((0, 0),) * 2), x, weight(b, c, 6, 2, 2), name="a")
    groups = c if kind == "depthwise" else 1
    op = Conv((1, 1), ((1, 1),) * 2, (1, 1), groups)
    return b.op(op, x, weight(b, c if groups > 1 else 6, c // groups, 3, 3), name="a")


@pytest.mark.parametrize("kind", ["conv", "depthwise", "linear", "transposed"])
def test_into_every_kind_of_layer(kind: str) -> None:
    b = Builder()
    x = b.input("x", (2, 4) if kind == "linear" else (2, 4, 5, 5))
    before = b.graph(norm(b, layer(b, kind, x)), output_names=["out"])
    after = apply(before, "fold-batch-norm")
    assert len(after.nodes) == 1 and after.nodes[0].name == "a"
    same(before, after)


def test_into_a_pruned_layer() -> None:
    b = Builder()
    before = b.graph(norm(b, layer(b, "conv", b.input("x", (2, 4, 5, 5)))), output_names=["out"])
    pruned = apply(before, "prune-magnitude{sparsity=0.6,min_elements=16}")
    after = apply(pruned, "fold-batch-norm")
    assert len(after.nodes) == 1
    old, new = (g.by_name["a"].operands[1] for g in (pruned, after))
    assert after.types[new].structure == pruned.types[old].structure is not None
    same(pruned, after)


@given(st.lists(st.sampled_from(["mul", "add", "sub", "div", "norm"]), max_size=4))
def test_chains_of_scales_and_shifts(steps: list[str]) -> None:
    b = Builder()
    y = layer(b, "conv", b.input("x", (1, 4, 5, 5)))
    ops = {"mul": Mul(), "add": Add(), "sub": Sub(), "div": Div()}
    for step in steps:
        vector = RANDOM.uniform(0.5, 2, (6, 1, 1)).astype(np.float32)
        y = norm(b, y) if step == "norm" else b.op(ops[step], y, b.constant(vector, "v"))
    before = b.graph(y, output_names=["out"])
    after = apply(before, "fold-batch-norm")
    assert kinds(after) == ["conv"]
    same(before, after)


def test_a_norm_after_anything_else_is_a_multiply_and_an_add() -> None:
    b = Builder()
    before = b.graph(norm(b, b.op(Relu(), b.input("x", (1, 4, 5, 5)))))
    after = apply(before, "fold-batch-norm")
    assert kinds(after) == ["relu", "mul", "add"]
    same(before, after)


def shared(b: Builder, x: str) -> tuple[str, ...]:
    a = layer(b, "conv", x)
    return a, norm(b, a)


def encoded(b: Builder, x: str) -> tuple[str, ...]:
    w = b.constant(np.ones((6, 4, 1, 1), np.float32), "w", (Int(8),))
    return (b.op(Mul(), b.op(Conv(), x, w), b.constant(np.full((), 2, np.float32), "two")),)


def along_columns(b: Builder, x: str) -> tuple[str, ...]:
    y = layer(b, "conv", x)
    return (b.op(Mul(), y, b.constant(np.arange(5, dtype=np.float32), "v")),)


def by_zero(b: Builder, x: str) -> tuple[str, ...]:
    return (b.op(Div(), layer(b, "conv", x), b.constant(np.full((), 0, np.float32), "v")),)


def constant_less_layer(b: Builder, x: str) -> tuple[str, ...]:
    return (b.op(Sub(), b.constant(np.full((), 1, np.float32), "v"), layer(b, "conv", x)),)


@pytest.mark.parametrize("make", [encoded, along_columns, by_zero, constant_less_layer])
def test_left_alone(make: object) -> None:
    b = Builder()
    before: Graph = b.graph(*make(b, b.input("x", (1, 4, 5, 5))))  # type: ignore[operator]
    assert apply(before, "fold-batch-norm") == before


def test_a_layer_that_is_read_twice_keeps_its_result() -> None:
    b = Builder()
    before = b.graph(*shared(b, b.input("x", (1, 4, 5, 5))), output_names=["a", "n"])
    after = apply(before, "fold-batch-norm")
    assert kinds(after) == ["conv", "mul", "add"]
    same(before, after)


def test_statistics_from_run_time_are_noted() -> None:
    b = Builder()
    x, statistics = b.input("x", (1, 4, 5, 5)), b.input("s", (4,))
    before = b.graph(b.op(BatchNorm(), x, *[statistics] * 4, name="n"))
    context = Context()
    assert apply(before, "fold-batch-norm", context) == before
    assert [(note.layer, note.done) for note in context.notes] == [("n", False)]


def test_a_norm_of_variance_near_zero_stays_finite() -> None:
    b = Builder()
    a = layer(b, "conv", b.input("x", (1, 4, 5, 5)))
    names = [b.constant(np.full(6, v, np.float32), "p") for v in (1.0, 0.0, 0.5, 0.0)]
    before = b.graph(b.op(BatchNorm(), a, *names), output_names=["out"])
    after = apply(before, "fold-batch-norm")
    assert lines(after) == ["a=conv(x, w, a.bias)"]
    same(before, after)


def test_arithmetic_on_vectors_has_no_channels() -> None:
    b = Builder()
    mean = b.op(ReduceMean((1,), False), b.input("x", (3, 16)))
    before = b.graph(b.op(Add(), mean, b.constant(np.ones(1, np.float32))))
    assert apply(before, "fold-batch-norm") == before
