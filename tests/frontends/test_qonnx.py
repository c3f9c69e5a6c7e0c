"""QONNX quantizers: exactly what their specification says, or a refusal that names them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from codesign.errors import CodesignError, InvalidModelError, UnsupportedModelError
from codesign.frontends.onnx import import_onnx
from codesign.interpret.evaluate import evaluate
from codesign.ir.encodings import Binary, Int, Ternary
from codesign.ir.graph import Graph
from tests.frontends import onnx_models as m
from tests.frontends import qonnx_models as q

F32 = np.float32
ONE, NONE = F32(1), F32(0)


def held(model: ModelProto) -> Any:
    """The encoding of the one encode node."""
    (encode,) = import_onnx(model).walk("encode")
    return import_onnx(model).types[encode.name].element


def weight(graph: Graph) -> Any:
    """The encoding of the one constant that has one."""
    (found,) = [graph.types[v].element for v in graph.constants if graph.types[v].element]
    return found


@st.composite
def quantizers(draw: st.DrawFn) -> tuple[dict[str, np.ndarray], dict[str, Any], np.ndarray]:
    """Parameters, attributes, and values [2, 3, 4] many of which lie between two levels."""
    width, signed = draw(st.integers(1, 9)), draw(st.booleans())
    narrow = draw(st.booleans()) and width > 1
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    form = draw(st.sampled_from([(), (1,), (1, 3, 1), (3, 1)]))
    scale = rng.uniform(0.01, 2, form).astype(F32)
    if draw(st.booleans()):
        scale = np.exp2(np.round(np.log2(scale))).astype(F32)
    low, high = q.bounds(width, signed, narrow)
    zero = np.zeros((), F32)
    if draw(st.booleans()) and not (width == 1 and signed):
        zero = rng.integers(low, high + 1, draw(st.sampled_from([(), form]))).astype(F32)
    halves = rng.integers(2 * low - 4, 2 * high + 5, (2, 3, 4)) / F32(2)
    x = (halves.astype(F32) - zero) * scale
    noise = rng.random(x.shape) < 0.3
    x = np.where(noise, x * rng.uniform(0.7, 1.3, x.shape), x).astype(F32)
    mode = draw(st.sampled_from(list(q.ROUNDING)))
    parameters = {"s": scale, "z": zero, "b": np.array(width, F32)}
    return parameters, {"signed": signed, "narrow": narrow, "rounding_mode": mode}, x


def oracle(parameters: dict[str, Any], attributes: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if parameters["b"] == 1 and attributes["signed"]:
        return q.bipolar(x, parameters["s"])
    mode = attributes["rounding_mode"]
    bits = int(parameters["b"])
    scale, zero = parameters["s"], parameters["z"]
    return q.quant(x, scale, zero, bits, attributes["signed"], attributes["narrow"], mode)


@settings(deadline=None, max_examples=60)
@given(quantizers())
def test_values_are_rounded_bit_for_bit(case: Any) -> None:
    parameters, attributes, x = case
    want = oracle(parameters, attributes, x)
    for found in q.both(q.quant_model(x.shape, parameters, **attributes), x):
        np.testing.assert_array_equal(found, want)


@settings(deadline=None, max_examples=60)
@given(quantizers())
def test_constants_are_rounded_bit_for_bit(case: Any) -> None:
    parameters, attributes, x = case
    model = q.constant_model(x, parameters, **attributes)
    found = evaluate(import_onnx(model), {"x": np.zeros_like(x)})["y"]
    np.testing.assert_array_equal(found, oracle(parameters, attributes, x))
    assert weight(import_onnx(model)) is not None


@pytest.mark.parametrize(
    ("width", "signed", "narrow", "want"),
    [
        (2, 1, 1, (2, True)),
        (2, 1, 0, (2, True)),
        (2, 0, 0, (2, False)),
        (1, 0, 0, (1, False)),
        (1, 1, 0, Binary),
        (1, 1, 1, Binary),
        (8, 1, 1, (8, True)),
        (16, 0, 0, (16, False)),
    ],
)
def test_each_width_has_its_encoding(width: int, signed: int, narrow: int, want: Any) -> None:
    parameters = {"s": F32(0.5), "z": NONE, "b": np.array(width, np.int32)}
    model = q.quant_model([1, 2], parameters, signed=signed, narrow=narrow)
    found = held(model)
    if isinstance(want, tuple):
        assert isinstance(found, Int) and (found.width, found.signed) == want
    else:
        assert isinstance(found, want)
    assert found.scale.array == 0.5
    ones = q.constant_model(np.ones((1, 2), F32), parameters, signed=signed, narrow=narrow)
    kind = {1: Binary, 2: Ternary if narrow else Int}.get(width, Int) if signed else Int
    assert isinstance(weight(import_onnx(ones)), kind)


def test_narrow_ranges_leave_the_last_level_out() -> None:
    x = np.array([[-128, -127.6, 127, 300]], F32)
    parameters = {"s": ONE, "z": NONE, "b": F32(8)}
    signed, _ = q.both(q.quant_model(x.shape, parameters, narrow=1), x)
    unsigned, _ = q.both(q.quant_model(x.shape, parameters, narrow=1, signed=0), x)
    assert signed.tolist() == [[-127, -127, 127, 127]]
    assert unsigned.tolist() == [[0, 0, 127, 254]]


@pytest.mark.parametrize("scale", [F32(1), F32(0.3), np.array([[[0.1]], [[2.5]]], F32)])
def test_bipolar_values_and_constants(scale: np.ndarray) -> None:
    x = np.array([[[[0.0, -0.0]], [[-1e-30, 3]]]], F32)
    want = q.bipolar(x, scale)
    model = q.model_of([q.node("BipolarQuant", "x s", "y")], [m.value("x", x.shape)], {"s": scale})
    for found in q.both(model, x):
        np.testing.assert_array_equal(found, want)
    assert held(model).axis == (1 if scale.ndim else None)
    nodes = [q.node("BipolarQuant", "w s", "q"), m.node("Mul", "x q", "y")]
    constant = q.model_of(nodes, [m.value("x", x.shape)], {"w": x, "s": -scale})
    np.testing.assert_array_equal(m.run(constant, {"x": np.ones_like(x)})["y"], -want)
    assert isinstance(weight(import_onnx(constant)), Binary)  # though its scale is negative


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas"])
@pytest.mark.parametrize("version", [None, 1, 2])
def test_domains_and_versions(domain: str, version: int | None) -> None:
    nodes = [q.node("BipolarQuant", "x s", "y", domain)]
    model = q.model_of(nodes, [m.value("x", [2])], {"s": ONE}, version, domain)
    assert m.run(model, {"x": np.array([-2, 2], F32)})["y"].tolist() == [-1, 1]


QUANT = {"s": ONE, "z": NONE, "b": F32(4)}


@pytest.mark.parametrize(
    ("changed", "attributes", "words"),
    [
        ({"b": F32(17)}, {}, ["bit width of 17", "1 to 16 bits", "without quantization"]),
        ({"b": F32(0)}, {}, ["bit width of 0", "1 to 16 bits"]),
        ({"b": F32(2.5)}, {}, ["bit width of 2.5", "whole bits"]),
        ({"b": F32(-3)}, {}, ["bit width of -3"]),
        ({"b": np.array([2, 3, 2], F32)}, {}, ["bit widths 2, 3", "one for the tensor"]),
        ({"b": F32(1)}, {"narrow": 1, "signed": 0}, ["narrow range"]),
        ({"b": F32(1), "z": ONE}, {}, ["one signed bit", "zero point"]),
        ({"s": F32(0)}, {}, ["scale of 0"]),
        ({"s": F32(-0.5)}, {}, ["negative scale, -0.5", "negate the weights"]),
        ({"s": F32(np.inf)}, {}, ["its scale [inf]", "no finite float32"]),
        ({"z": F32(0.5)}, {}, ["zero point of 0.5", "whole"]),
        ({"z": F32(9)}, {}, ["zero points 9", "-8 to 7"]),
        ({"s": np.arange(1, 13, dtype=F32).reshape(1, 3, 4)}, {}, ["vary along axes [1, 2]"]),
        ({"s": np.ones((5, 1), F32)}, {}, ["shape [5, 1]", "[2, 3, 4]"]),
        ({}, {"rounding_mode": "STOCHASTIC"}, ["'STOCHASTIC'", "HALF_EVEN", "FLOOR"]),
        ({}, {"levels": 3}, ["'levels'", "not known"]),
    ],
)
def test_what_no_encoding_holds_is_refused(
    changed: dict[str, Any], attributes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(CodesignError) as raised:
        import_onnx(q.quant_model([2, 3, 4], {**QUANT, **changed}, **attributes))
    assert isinstance(raised.value, UnsupportedModelError | InvalidModelError)
    assert not [word for word in words if word not in str(raised.value)], str(raised.value)


def test_a_scale_that_is_computed_is_refused() -> None:
    nodes = [m.node("ReduceMax", "x", "s", keepdims=0), q.node("Quant", "x s z b", "y")]
    model = q.model_of(nodes, [m.value("x", [2, 3])], {"z": NONE, "b": F32(4)})
    with pytest.raises(UnsupportedModelError, match=r"its scale 's' is computed from.*'x'.*fixed"):
        import_onnx(model)


def test_values_of_other_types_are_refused() -> None:
    model = q.model_of(
        [q.node("Quant", "x s z b", "y")], [m.value("x", [2], TensorProto.DOUBLE)], QUANT
    )
    with pytest.raises(UnsupportedModelError, match="expected f32"):
        import_onnx(model)


@pytest.mark.parametrize("kind", ["FloatQuant", "XnorPopcountMatMul", "QuantLSTMCell"])
def test_other_operators_are_refused_by_name(kind: str) -> None:
    model = q.model_of([q.node(kind, "x s", "y")], [m.value("x", [2])], {"s": ONE})
    with pytest.raises(UnsupportedModelError, match=f"{kind}.*known are BipolarQuant, IntQuant"):
        import_onnx(model)


@pytest.mark.parametrize("width", [17, 24, 32])
def test_wide_constants_are_codes_of_accumulators(width: int) -> None:
    w = np.array([-70000.25, 0.5, 123456, 5e5], F32)
    parameters = {"s": F32(0.25), "z": NONE, "b": F32(width)}
    graph = import_onnx(q.constant_model(w, parameters))
    want = q.quant(w, F32(0.25), NONE, width)
    np.testing.assert_array_equal(evaluate(graph, {"x": np.zeros_like(w)})["y"], want)
    assert weight(graph).width == 32
    with pytest.raises(UnsupportedModelError, match=r"bit width of 33.*constants.*up to 32"):
        import_onnx(q.constant_model(w, {**parameters, "b": F32(33)}))


def test_constants_that_no_code_gives_back_stay_plain() -> None:
    w = np.array([3e9, 1.7e9, -2e9], F32)  # whole numbers of 31 bits, of which float32 holds 24
    graph = import_onnx(q.constant_model(w, {"s": F32(0.7), "z": NONE, "b": F32(32)}))
    want = q.quant(w, F32(0.7), NONE, 32)
    np.testing.assert_array_equal(evaluate(graph, {"x": np.zeros_like(w)})["y"], want)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
def test_truncation(version: int, mode: str) -> None:
    scale, x = F32(0.1), (np.arange(-300, 300) * F32(0.1)).astype(F32)
    outputs = {"i": F32(9), "o": F32(4), "t": F32(3.2)}
    inputs = "x s z i o" if version == 1 else "x s z i t o"
    nodes = [q.node("Trunc", inputs, "y", rounding_mode=mode)]
    model = q.model_of(nodes, [m.value("x", x.shape)], {"s": scale, "z": NONE, **outputs}, version)
    whole = np.round(x / scale) / F32(32)
    want = q.ROUNDING[mode](whole) * scale
    if version == 2:
        want = q.ROUNDING[mode](np.clip(whole, F32(-8), F32(7))) * outputs["t"]
        assert held(model).width == 4
    for found in q.both(model, x):
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("steps", "scale", "bias", "want"),
    [(1, 2.0, -1.0, Binary), (3, 0.5, 0.0, Int), (7, 1.0, -4.0, Int), (3, 0.3, 0.01, None)],
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_thresholds(steps: int, scale: float, bias: float, want: type | None, layout: str) -> None:
    x = m.random(2, 3, 3, 3) * 3
    limits = np.sort(m.random(3, steps, seed=1) * 2)
    attributes: dict[str, Any] = {
        "out_scale": scale,
        "out_bias": bias,
        "data_layout": layout,
        "out_dtype": "INT4",
    }
    nodes = [q.node("MultiThreshold", "x t", "y", **attributes)]
    model = q.model_of(nodes, [m.value("x", x.shape)], {"t": limits})
    form = (3, 1, 1, steps) if layout == "NCHW" else (3, steps)
    count = (x[..., None] >= limits.reshape(form)).sum(-1).astype(F32)
    kinds = [type(import_onnx(model).types[n.name].element) for n in import_onnx(model).nodes]
    assert (want in kinds) if want else (set(kinds) == {type(None)})
    for found in q.both(model, x):
        np.testing.assert_array_equal(found, F32(scale) * count + F32(bias))
