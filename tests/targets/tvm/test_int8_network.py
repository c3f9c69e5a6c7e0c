"""Whole quantized networks, compiled, are the integer meaning bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from codesign import plugins
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, HardSwish, Relu, Sigmoid
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.join import Concat, Pad, Split
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.shape import Flatten
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, calibrated, snr_db
from tests.strategies import inputs_of, networks
from tests.targets.tvm.harness import run
from tests.targets.tvm.int8_oracle import runnable

ISAS = [name for name in ("avx512-amx", "avx512-vnni", "avx2") if name in runnable()]


def network() -> Graph:
    """One of each thing that a small convolutional network does."""
    b, random = Builder("net"), np.random.default_rng(0)

    def layer(x: str, oc: int, k: int = 1, stride: int = 1, groups: int = 1) -> str:
        shape = (oc, b.types[x].shape[1] // groups, k, k)
        w = random.standard_normal(shape) * float(np.prod(shape[1:])) ** -0.5
        names = (
            b.constant(w.astype(np.float32), "w"),
            b.constant(random.standard_normal(oc).astype(np.float32) * 0.3, "b"),
        )
        op = Conv((stride,) * 2, ((k // 2, k // 2),) * 2, (1, 1), groups)
        return b.op(op, x, *names)

    x = b.op(Relu(), layer(b.input("x", (1, 3, 20, 20)), 16, 3, 2))
    x = b.op(Relu(), b.op(Add(), layer(x, 16, 3), x))
    x = b.op(MaxPool((3, 3), (2, 2), ((1, 1),) * 2), x)
    y = b.op(Clip(0.0, 6.0), layer(x, 16, 3, 1, 16))
    y = b.op(HardSwish(), layer(y, 24))
    x = b.op(Concat(1), y, b.op(Relu(), layer(x, 20)))
    gate = layer(b.op(Relu(), layer(b.op(ReduceMean((2, 3), True), x), 8)), 44)
    x = b.op(Mul(), x, b.op(Sigmoid(), gate))
    up = b.op(Resize((1, 16, 10, 10)), layer(x, 16))
    up = b.op(Relu(), layer(b.op(Pad(((0, 0), (0, 0), (0, 1), (1, 0))), up), 16, 3))
    flat = b.op(Flatten(1), b.op(AvgPool((2, 2), (2, 2), ((0, 0),) * 2), layer(up, 12)))
    depth = b.types[flat].shape[1]
    weight = b.constant(random.standard_normal((10, depth)).astype(np.float32) * 0.1, "fc")
    return b.graph(b.op(Linear(), flat, weight), up, output_names=["classes", "map"])


def placed(graph: Graph, target: Cpu) -> Program:
    """`graph` with kernels and layouts, verified."""
    context, program = Context(target=target), Program(graph)
    for name in ("place", "layout"):
        program = plugins.make("pass", name).run(program, context)
    target.verify(program)
    return program


def outputs(graph: Graph, target: Cpu) -> tuple[Program, list[tuple[np.ndarray, np.ndarray]]]:
    """The placed program, and for each output what it computes and the integer meaning."""
    program = placed(graph, target)
    data = inputs_of(graph, 3)
    got, want = run(program, target, data), evaluate_integer(program.graph, data)
    return program, [(got[name], array) for name, array in want.items()]


@pytest.mark.parametrize("isa", ISAS)
def test_a_network_of_everything(isa: str) -> None:
    source = network()
    graph = apply(source, "quantize-int8", calibrated(source))
    program, pairs = outputs(graph, Cpu(isa))
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)
    used = {assignment.kernel for assignment in program.placement}
    assert used >= {"conv-int8", "separable-int8", "max-pool-int8", "mean-int8", "move"}


def as_signed(graph: Graph) -> Graph:
    """`graph` as other tools quantize it: activations in signed codes of the same values."""
    types = dict(graph.types)
    for value, kind in types.items():
        form = kind.integer
        if value not in graph.constants and form is not None and not form.signed:
            zero = Const(form.zero.array - (1 << (form.width - 1)), "int32")
            types[value] = kind.with_encoding(replace(form, signed=True, zero=zero))
    return graph.with_types(types)


def test_signed_codes_of_other_tools_are_recoded() -> None:
    source = network()
    graph = apply(source, "quantize-int8", calibrated(source))
    for spec in ("canonicalize", "quantize-int8"):
        recoded = apply(as_signed(graph), spec, calibrated(source))
        assert recoded == apply(graph, spec, calibrated(source))


@pytest.mark.parametrize("size", [(4, 7), (5, 1), (1, 5)])
@pytest.mark.parametrize("other", [(4, 1), (1, 7), (4, 7), (1, 1)])
def test_constants_by_row_or_column_behind_a_pointwise_layer(
    size: tuple[int, int], other: tuple[int, int]
) -> None:
    """Pointwise kernels see one long row of pixels; what is fused behind them sees an image."""
    b, random = Builder("net"), np.random.default_rng(0)
    x = b.input("x", (2, 8, *size))
    w = b.constant(random.standard_normal((16, 8, 1, 1)).astype(np.float32), "w")
    shape = tuple(1 if a == 1 else s for a, s in zip(other, size, strict=True))
    scale = random.uniform(0.5, 2, (1, 16, *shape)).astype(np.float32)
    y = b.op(Conv((1, 1), ((0, 0),) * 2), x, w)
    graph = b.graph(b.op(Mul(), y, b.constant(scale, "c")))
    quantized = apply(graph, "quantize-int8", calibrated(graph))
    program, pairs = outputs(quantized, Cpu(ISAS[-1]))
    assert "conv-int8" in [a.kernel for a in program.placement]
    for got, want in pairs:
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 3), (3, 1), (1, 17)])
def test_parts_of_one_channel_are_cut_and_joined(sizes: tuple[int, int]) -> None:
    b, random = Builder("net"), np.random.default_rng(0)

    def layer(x: str, out: int) -> str:
        shape = (out, b.types[x].shape[1], 1, 1)
        w = b.constant(random.standard_normal(shape).astype(np.float32), "w")
        return b.op(Conv((1, 1), ((0, 0),) * 2), x, w)

    x = b.input("x", (2, 16, 3, 5))
    joined = b.op(Concat(1), *(layer(x, size) for size in sizes))
    cut = b.results(Split(1, sizes), layer(joined, sum(sizes)), names=["cut"])
    graph = b.graph(*(layer(v, 16) for v in (joined, *cut)))
    program, pairs = outputs(apply(graph, "quantize-int8", calibrated(graph)), Cpu(ISAS[-1]))
    assert [a.kernel for a in program.placement].count("move") >= 2
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)


SIMPLIFY = ("fold-batch-norm", "canonicalize", "fold-constants")


@settings(deadline=None, max_examples=6)
@given(source=networks())
def test_random_networks(source: Graph) -> None:
    """Ops left in float round in their own way: a code may be one off where they end."""
    for spec in SIMPLIFY:
        source = apply(source, spec)
    graph = apply(source, "quantize-int8", calibrated(source))
    _, pairs = outputs(graph, Cpu(ISAS[-1]))
    for got, want in pairs:
        assert got.shape == want.shape and snr_db(want, got) > 35
