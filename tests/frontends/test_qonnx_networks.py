"""Networks of few bits from QONNX: what they compute, and that layers keep their codes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, NodeProto
from torch.nn import functional as f

from codesign import plugins
from codesign.compiler import SIMPLIFY, compile_model
from codesign.frontends.onnx import import_onnx
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from tests.frontends import onnx_models as m
from tests.frontends import qonnx_models as q

F32 = np.float32
ONE, NONE = F32(1), F32(0)
X = m.value("x", [2, 3, 8, 8])
NORM = "BatchNormalization"


def simplified(graph: Graph, target: str = "cpu") -> Graph:
    """`graph` after the passes that always run."""
    program, context = Program(graph), Context(plugins.make("target", target))
    for name in SIMPLIFY:
        program = plugins.make("pass", name).run(program, context)
    return program.graph


def layers(graph: Graph) -> list[str]:
    """What each layer multiplies: the kinds and widths of its factors."""
    found = []
    for node in graph.nodes:
        if node.kind in ("conv", "linear"):
            forms = [graph.types[v].grid for v in node.operands[:2]]
            found.append(" ".join(f"{e.kind}{e.code_bits}" if e else "plain" for e in forms))
    return found


def agree(model: ModelProto, want: np.ndarray, tolerance: float, x: np.ndarray) -> list[str]:
    """Both meanings, before and after simplifying, to a relative `tolerance`; the layers' factors.

    Sums in floats are taken in another order than the oracle's, or scaled at the end, and each of
    n summands moves the result by 2^-24 of the sum of magnitudes: 1e-6 where no scale is a power
    of two, nothing where all are.
    """
    graph = import_onnx(model)
    for form in (graph, simplified(graph)):
        for meaning in (evaluate, evaluate_integer):
            found = meaning(form, {"x": x})["y"]
            assert np.abs(found - want).max() <= tolerance * np.abs(want).max()
    assert layers(simplified(graph)) == layers(graph)
    return layers(graph)


def affine(channels: int, seed: int) -> dict[str, np.ndarray]:
    """Parameters of a batch norm, scales of both signs."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.5, 2, channels) * rng.choice([-1, 1], channels)
    rest = [rng.normal(0, 0.5, channels), rng.normal(0, 2, channels), rng.uniform(9, 30, channels)]
    return dict(zip("gbmv", [a.astype(F32) for a in (scale, *rest)], strict=True))


def normal(x: np.ndarray, p: Mapping[str, np.ndarray]) -> np.ndarray:
    """Batch norm over axis 1."""
    mean, var, scale, bias = (torch.from_numpy(p[k]) for k in "mvgb")
    return f.batch_norm(torch.from_numpy(x), mean, var, scale, bias, eps=1e-5).numpy()


def conv(x: np.ndarray, w: np.ndarray, pad: int = 0) -> np.ndarray:
    """Convolution in float64, rounded once."""
    values, weights = (torch.from_numpy(a).double() for a in (x, w))
    found: np.ndarray = f.conv2d(values, weights, padding=pad).float().numpy()
    return found


def named(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": array for name, array in arrays.items()}


FEW_BITS = [
    q.node("Quant", "x s8 zero eight", "x8", signed=1, narrow=0),
    q.node("BipolarQuant", "w0 one", "v0"),
    m.node("Conv", "x8 v0", "c0"),
    m.node(NORM, "c0 0g 0b 0m 0v", "n0"),
    q.node("BipolarQuant", "n0 one", "a0"),
    m.node("MaxPool", "a0", "p0", kernel_shape=[2, 2], strides=[1, 1]),
    q.node("BipolarQuant", "w1 s1", "v1"),
    m.node("Conv", "p0 v1", "c1", pads=[1, 1, 1, 1]),
    m.node(NORM, "c1 1g 1b 1m 1v", "n1"),
    m.node("Relu", "n1", "r1"),
    q.node("Quant", "r1 step zero two", "a1", signed=0, narrow=0),
    m.node("MaxPool", "a1", "p1", kernel_shape=[3, 3], strides=[1, 1]),
    m.node("Reshape", "p1 flat", "f1"),
    q.node("Quant", "w2 step zero two", "v2", signed=1, narrow=1),
    m.node("Transpose", "v2", "t2", perm=[1, 0]),
    m.node("MatMul", "f1 t2", "y"),
]


def few_bits(x: np.ndarray, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """What FEW_BITS computes."""
    norms = [{k: given[f"{i}{k}"] for k in "gbmv"} for i in range(2)]
    w0, w1, w2, step = (given[name] for name in ("w0", "w1", "w2", "step"))
    x8 = q.quant(x, given["s8"], NONE, 8)
    a0 = q.bipolar(normal(conv(x8, q.bipolar(w0, ONE)), norms[0]), ONE)
    p0 = f.max_pool2d(torch.from_numpy(a0), 2, 1).numpy()
    n1 = normal(conv(p0, q.bipolar(w1, given["s1"]), 1), norms[1])
    a1 = q.quant(np.maximum(n1, 0), step, NONE, 2, signed=False)
    p1 = f.max_pool2d(torch.from_numpy(a1), 3, 1).numpy()
    y: np.ndarray = p1.reshape(2, -1) @ q.quant(w2, step, NONE, 2, narrow=True).T
    return y


def weights_of(columns: int, rough: bool) -> dict[str, Any]:
    """Constants of FEW_BITS, scales all powers of two unless `rough`."""
    scales = np.abs(m.random(6, 1, 1, 1, seed=9)) + F32(0.1) if rough else ONE
    found: dict[str, Any] = {"w0": m.random(5, 3, 3, 3), "w1": m.random(6, 5, 3, 3, seed=1)}
    found |= {"w2": m.random(7, columns, seed=2), "s1": scales, "flat": np.array([2, -1])}
    found |= {"step": F32(0.3 if rough else 0.25), "s8": F32(2**-5), "zero": NONE, "one": ONE}
    found |= {"eight": F32(8), "two": F32(2)}
    return found | named("0", affine(5, 3)) | named("1", affine(6, 4))


@pytest.mark.parametrize("rough", [False, True])
def test_a_network_of_one_and_two_bits(rough: bool) -> None:
    weights = weights_of(54, rough)
    model, x = q.model_of(FEW_BITS, [X], weights), m.random(2, 3, 8, 8, seed=7)
    found = agree(model, few_bits(x, weights), 1e-6 if rough else 0.0, x)
    assert found == ["int8 binary1", "binary1 binary1", "int2 ternary2"]
    assert m.kinds(simplified(import_onnx(model))).count("batch_norm") == 2


def test_the_compiled_network_counts_bits_exactly() -> None:
    nodes = [NodeProto.FromString(n.SerializeToString()) for n in FEW_BITS if "p0" not in n.output]
    for node in nodes:
        node.input[:] = ["a0" if name == "p0" else name for name in node.input]
    model, x = q.model_of(nodes, [X], weights_of(96, True)), m.random(2, 3, 8, 8, seed=7)
    graph = import_onnx(model)
    compiled = compile_model(Program(graph), "cpu", [], measure="none", records="none")
    np.testing.assert_array_equal(compiled(x), evaluate_integer(graph, {"x": x})["y"])


@pytest.mark.parametrize("width", [8, 16, 24, 32])
@pytest.mark.parametrize("shared", [True, False])
def test_biases_of_any_width(width: int, shared: bool) -> None:
    scale = F32(2**-4) * np.exp2(np.arange(4) - F32(5)).astype(F32) if shared else F32(2**-9)
    w, b = m.random(4, 3, 3, 3), m.random(4, seed=3)
    nodes = [
        q.node("Quant", "x sx zero four", "a", signed=1, narrow=0),
        q.node("Quant", "w sw zero four", "v", signed=1, narrow=1),
        q.node("Quant", "b sb zero width", "u", signed=1, narrow=0),
        m.node("Conv", "a v u", "c"),
        q.node("Quant", "c sx zero four", "y", signed=1, narrow=0),
    ]
    steps = np.exp2(np.arange(4) - F32(5)).astype(F32).reshape(4, 1, 1, 1)
    numbers = {"zero": NONE, "four": F32(4), "width": F32(width), "sx": F32(2**-4), "sw": steps}
    model = q.model_of(nodes, [X], {"w": w, "b": b, "sb": scale, **numbers})
    x = m.random(2, 3, 8, 8, seed=5)
    a = q.quant(x, F32(2**-4), NONE, 4)
    sums = conv(a, q.quant(w, steps, NONE, 4, True, True))
    whole = sums + q.quant(b, scale, NONE, width).reshape(4, 1, 1)
    want = q.quant(whole, F32(2**-4), NONE, 4)
    graph = import_onnx(model)
    np.testing.assert_array_equal(evaluate(graph, {"x": x})["y"], want)
    (layer,) = graph.walk("conv")
    kind = graph.types[layer.operands[2]].integer
    in_sums = kind is not None and kind.width == 32
    assert in_sums if shared else kind is None
    assert layers(graph) == ["int4 int4"]


def residual(first: str) -> list[NodeProto]:
    """A block that reads `first` twice: by a layer in one bit, and in eight by an add."""
    return [
        q.node("Quant", f"{first} s zero eight", "long", signed=1, narrow=0),
        q.node("BipolarQuant", f"{first} one", "bits"),
        q.node("BipolarQuant", "w one", "v"),
        m.node("Conv", "bits v", "c", pads=[1, 1, 1, 1]),
        m.node("Add", "c long", "y"),
    ]


def test_a_value_in_eight_bits_and_in_one() -> None:
    w, x = m.random(3, 3, 3, 3), m.random(2, 3, 8, 8, seed=1)
    numbers = {"s": F32(2**-6), "zero": NONE, "eight": F32(8), "one": ONE, "w": w}
    want = conv(q.bipolar(x, ONE), q.bipolar(w, ONE), 1) + q.quant(x, F32(2**-6), NONE, 8)
    model = q.model_of(residual("x"), [X], numbers)
    assert agree(model, want, 0.0, x) == ["binary1 binary1"]


def test_zeros_around_bits_are_no_codes_but_pads() -> None:
    w, x = m.random(4, 3, 3, 3), m.random(2, 3, 8, 8, seed=1)
    pads = np.array([0, 0, 1, 2, 0, 0, 1, 0])
    nodes = [
        q.node("BipolarQuant", "x one", "a"),
        m.node("Pad", "a pads", "p"),
        q.node("BipolarQuant", "w one", "v"),
        m.node("Conv", "p v", "y"),
    ]
    padded = np.pad(q.bipolar(x, ONE), ((0, 0), (0, 0), (1, 1), (2, 0)))
    want = conv(padded, q.bipolar(w, ONE))
    graph = import_onnx(q.model_of(nodes, [X], {"one": ONE, "w": w, "pads": pads}))
    assert layers(graph) == ["plain binary1"]
    after = simplified(graph)
    assert [n.kind for n in after.nodes] == ["encode", "conv"]
    assert layers(after) == ["binary1 binary1"]
    for form in (graph, after):
        for meaning in (evaluate, evaluate_integer):
            np.testing.assert_array_equal(meaning(form, {"x": x})["y"], want)


def test_weights_alone_in_few_bits() -> None:
    w, x = m.random(4, 3, 3, 3), m.random(2, 3, 8, 8, seed=1)
    nodes = [q.node("BipolarQuant", "w s", "v"), m.node("Conv", "x v", "y")]
    model = q.model_of(nodes, [X], {"s": np.full((4, 1, 1, 1), 0.3, F32), "w": w})
    want = conv(x, q.bipolar(w, F32(0.3)))
    assert agree(model, want, 1e-6, x) == ["plain binary1"]


def test_codes_pass_through_what_only_moves_them() -> None:
    nodes = [
        q.node("BipolarQuant", "x one", "a"),
        m.node("MaxPool", "a", "p", kernel_shape=[2, 2], strides=[2, 2]),
        m.node("Transpose", "p", "t", perm=[0, 1, 3, 2]),
        m.node("Concat", "t p", "j", axis=1),
        m.node("Flatten", "j", "f"),
        q.node("BipolarQuant", "w one", "v"),
        m.node("MatMul", "f v", "l"),
        m.node("ReduceMean", "j", "k", axes=[1, 2, 3], keepdims=0),
        m.node("Unsqueeze", "k last", "e"),
        m.node("Add", "l e", "y"),
    ]
    x = m.random(2, 3, 8, 8, seed=1)
    weights: dict[str, Any] = {"one": ONE, "w": m.random(96, 5), "last": np.array([1])}
    p: np.ndarray = f.max_pool2d(torch.from_numpy(q.bipolar(x, ONE)), 2, 2).numpy()
    j = np.concatenate([p.transpose(0, 1, 3, 2), p], 1)
    want = j.reshape(2, -1) @ q.bipolar(weights["w"], ONE) + j.mean((1, 2, 3))[:, None]
    assert agree(q.model_of(nodes, [X], weights), want, 1e-6, x) == ["binary1 binary1"]


def test_eight_bit_layers_take_the_form_of_other_quantized_models() -> None:
    nodes = [
        q.node("Quant", "x s zero eight", "a", signed=1, narrow=0),
        q.node("Quant", "w s zero eight", "v", signed=1, narrow=1),
        m.node("Conv", "a v", "c"),
        m.node("Relu", "c", "r"),
        q.node("Quant", "r s zero eight", "y", signed=0, narrow=0),
    ]
    numbers: dict[str, Any] = {
        "s": F32(2**-4),
        "zero": NONE,
        "eight": F32(8),
        "w": m.random(4, 3, 3, 3),
    }
    model = q.model_of(nodes, [X], numbers)
    assert m.kinds(import_onnx(model)) == ["encode", "conv", "relu", "decode"]
    x = m.random(2, 3, 8, 8, seed=1)
    sums = conv(q.quant(x, F32(2**-4), NONE, 8), q.quant(numbers["w"], F32(2**-4), NONE, 8))
    np.testing.assert_array_equal(
        m.run(model, {"x": x})["y"], q.quant(np.maximum(sums, 0), F32(2**-4), NONE, 8, False)
    )
