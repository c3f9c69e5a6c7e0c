"""QDQ models become encodings; raw integers stay integers."""

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from codesign.errors import UnsupportedModelError
from codesign.frontends.onnx import import_onnx
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from tests.frontends import onnx_models as m

X = m.value("x", [1, 3, 6, 6])


def q(x: str, y: str, scale: str = "s", zero: str = "z", **attributes: int) -> NodeProto:
    """QuantizeLinear."""
    return m.node("QuantizeLinear", f"{x} {scale} {zero}", y, **attributes)


def d(x: str, y: str, scale: str = "s", zero: str = "z", **attributes: int) -> NodeProto:
    """DequantizeLinear."""
    return m.node("DequantizeLinear", f"{x} {scale} {zero}", y, **attributes)


GRID = {"s": np.float32(0.05), "z": np.uint8(120)}


def encoding(graph: Graph, value: str) -> Int:
    """The integer encoding of a value, which must have one."""
    found = graph.types[value].integer
    assert found is not None
    return found


def steps_apart(model: ModelProto, feeds: m.Feeds, step: float) -> float:
    """Largest difference from onnxruntime in steps of the output's scale."""
    found, want = m.run(model, feeds), m.expected(model, feeds)
    return (
        max(float(np.abs(found[n].astype(float) - want[n].astype(float)).max()) for n in want)
        / step
    )


def test_the_inside_of_a_quantized_region_has_no_conversions() -> None:
    graph = import_onnx(m.qdq_model())
    assert m.kinds(graph) == ["encode", "conv", "relu", "add", "decode"]
    assert graph.types["c"].encodings == ()  # relu ends the chain that is requantized
    assert encoding(graph, "r").zero.array == 100 and encoding(graph, "a").zero.array == 100
    assert graph.output_names == ("y",)


def test_weights_carry_their_scales_and_biases_32_bits() -> None:
    graph = import_onnx(m.qdq_model())
    weight, bias = encoding(graph, "w"), encoding(graph, "b")
    assert (weight.width, weight.signed, weight.axis) == (8, True, 0)
    assert weight.scale.shape == (3,) and weight.symmetric
    assert (bias.width, bias.axis) == (32, 0)
    codes = weight.encode(graph.constants["w"].array)["values"]
    given = {t.name: t for t in m.qdq_model().graph.initializer}["w"]
    assert codes.astype(np.int8).tobytes() == given.raw_data


def test_a_quantized_model_agrees_up_to_one_step() -> None:
    model = m.qdq_model()
    assert steps_apart(model, {"x": m.random(1, 3, 6, 6)}, 0.1) <= 1.01


def test_a_float_op_decodes_what_it_reads() -> None:
    nodes = [q("x", "a"), d("a", "b"), m.node("Softmax", "b", "y", axis=1)]
    graph = import_onnx(m.model_of(nodes, [X], ["y"], GRID))
    assert m.kinds(graph) == ["encode", "decode", "softmax"]


def test_a_contraction_takes_codes_and_gives_floats() -> None:
    nodes = [
        q("x", "a"),
        d("a", "b"),
        d("w", "v", "ws", "wz"),
        m.node("Conv", "b v", "c"),
        m.node("Sigmoid", "c", "y"),
    ]
    weights = {
        **GRID,
        "w": np.ones((2, 3, 1, 1), np.int8),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
    }
    model = m.model_of(nodes, [X], ["y"], weights)
    assert m.kinds(import_onnx(model)) == ["encode", "conv", "sigmoid"]
    m.agree(model, {"x": m.random(1, 3, 6, 6)})


def test_a_split_between_codes_needs_no_conversion() -> None:
    nodes = [
        q("x", "a"),
        d("a", "b"),
        m.node("Split", "b", "l r", axis=2, num_outputs=2),
        *(q("l", "lq"), d("lq", "ld"), q("r", "rq"), d("rq", "rd")),
        m.node("Concat", "rd ld", "c", axis=1),
        *(q("c", "cq"), d("cq", "y")),
    ]
    model = m.model_of(nodes, [X], ["y"], GRID)
    assert m.kinds(import_onnx(model)) == ["encode", "split", "concat", "decode"]
    m.agree(model, {"x": m.random(1, 3, 6, 6)}, rtol=0)


def test_a_float_input_keeps_the_encode_after_it() -> None:
    nodes = [m.node("Relu", "x", "r"), q("r", "a"), d("a", "b"), q("b", "c"), d("c", "y")]
    graph = import_onnx(m.model_of(nodes, [X], ["y"], GRID))
    assert m.kinds(graph) == ["relu", "encode", "decode"]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_codes_that_the_graph_returns(dtype: str) -> None:
    weights = {"s": np.float32(0.05), "z": np.array(3, dtype)}
    model = m.model_of([q("x", "y")], [X], ["y"], weights, opset=21)
    assert m.kinds(import_onnx(model)) == ["encode", "codes"]
    m.agree(model, {"x": 10 * m.random(1, 3, 6, 6)}, rtol=0)


@pytest.mark.parametrize("axis", [1, -1])
def test_scales_along_an_axis(axis: int) -> None:
    count = 3 if axis == 1 else 6
    weights = {
        "s": np.linspace(0.01, 0.1, count).astype(np.float32),
        "z": np.arange(count, dtype=np.uint8),
    }
    nodes = [q("x", "a", axis=axis), d("a", "y", axis=axis)]
    model = m.model_of(nodes, [X], ["y"], weights)
    (encode,) = import_onnx(model).walk("encode")
    assert encoding(import_onnx(model), encode.name).axis == axis % 4
    m.agree(model, {"x": m.random(1, 3, 6, 6)}, rtol=1e-7)


def test_four_bit_weights() -> None:
    codes = helper.make_tensor("w", TensorProto.INT4, [2, 4], [-8, 7, 0, 1, -1, 2, -3, 4])
    nodes = [m.node("DequantizeLinear", "w s", "v", axis=0), m.node("MatMul", "x v", "y")]
    scale = np.array([0.5, 0.25], np.float32)
    model = m.model_of(nodes, [m.value("x", [3, 2])], ["y"], {"s": scale}, opset=21)
    model.graph.initializer.append(codes)
    graph = import_onnx(model)
    (weight,) = graph.constants
    found = encoding(graph, weight)
    assert (found.width, found.signed, found.axis) == (4, True, 1)  # transposed for linear
    m.agree(model, {"x": m.random(3, 2)})


def test_scales_by_block_make_plain_constants() -> None:
    nodes = [
        m.node("DequantizeLinear", "w s", "v", axis=1, block_size=2),
        m.node("MatMul", "x v", "y"),
    ]
    weights = {
        "w": np.arange(-4, 4, dtype=np.int8).reshape(2, 4),
        "s": np.array([[0.5, 0.25], [1, 2]], np.float32),
    }
    model = m.model_of(nodes, [m.value("x", [3, 2])], ["y"], weights, opset=21)
    assert all(not kind.encodings for kind in import_onnx(model).types.values())
    m.agree(model, {"x": m.random(3, 2)})


@pytest.mark.parametrize("kind", ["dynamic", "integer"])
def test_integer_products(kind: str) -> None:
    weights = {"w": np.arange(-6, 6, dtype=np.int8).reshape(4, 3), "wz": np.int8(1)}
    if kind == "dynamic":
        nodes = [
            m.node("DynamicQuantizeLinear", "x", "a s z"),
            m.node("MatMulInteger", "a w z wz", "y"),
        ]
        model = m.model_of(nodes, [m.value("x", [2, 4])], ["y"], weights)
        m.agree(model, {"x": m.random(2, 4)}, rtol=0)
    else:
        x = m.value("x", [2, 4], TensorProto.UINT8)
        model = m.model_of([m.node("MatMulInteger", "x w - wz", "y")], [x], ["y"], weights)
        m.agree(model, {"x": np.arange(8, dtype=np.uint8).reshape(2, 4)}, rtol=0)


def test_conv_integer() -> None:
    weights = {
        "w": np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3).view(np.uint8),
        "xz": np.uint8(3),
    }
    x = m.value("x", [1, 1, 5, 5], TensorProto.UINT8)
    node = m.node("ConvInteger", "x w xz", "y", pads=[1, 1, 1, 1])
    feeds = {"x": np.arange(25, dtype=np.uint8).reshape(1, 1, 5, 5)}
    m.agree(m.model_of([node], [x], ["y"], weights), feeds, rtol=0)


def test_qlinear_conv_becomes_an_encoded_convolution() -> None:
    weights = {
        "xs": np.float32(0.1),
        "xz": np.uint8(10),
        "w": np.arange(-27, 27, dtype=np.int8).reshape(2, 3, 3, 3),
        "ws": np.array([0.01, 0.02], np.float32),
        "wz": np.zeros(2, np.int8),
        "ys": np.float32(0.5),
        "yz": np.uint8(128),
        "b": np.array([100, -100], np.int32),
    }
    node = m.node("QLinearConv", "x xs xz w ws wz ys yz b", "y")
    model = m.model_of([node], [m.value("x", [1, 3, 6, 6], TensorProto.UINT8)], ["y"], weights)
    graph = import_onnx(model)
    assert [k for k in m.kinds(graph) if k in ("conv", "codes")] == ["conv", "codes"]
    (conv,) = graph.walk("conv")
    assert encoding(graph, conv.name).zero.array == 128
    feeds = {"x": np.random.default_rng(0).integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)}
    assert steps_apart(model, feeds, 1) <= 1


def test_a_scale_that_is_computed_stays_arithmetic() -> None:
    model = m.model_of([q("x", "a"), d("a", "y")], [X, m.value("s", [])], ["y"], {"z": GRID["z"]})
    graph = import_onnx(model)
    assert not any(kind.encodings for kind in graph.types.values())
    m.agree(model, {"x": m.random(1, 3, 6, 6), "s": np.float32(0.05)}, rtol=1e-6)


def test_dead_channels_with_scale_zero_stay_plain() -> None:
    weights = {"w": np.ones((2, 3), np.int8), "s": np.array([0.0, 0.5], np.float32)}
    nodes = [m.node("DequantizeLinear", "w s", "v", axis=0), m.node("Add", "x v", "y")]
    m.agree(m.model_of(nodes, [m.value("x", [2, 3])], ["y"], weights), {"x": m.random(2, 3)})


def test_quantizing_by_block_is_refused() -> None:
    weights = {"s": np.full((1, 3, 6, 2), 0.1, np.float32), "z": np.zeros((1, 3, 6, 2), np.uint8)}
    node = q("x", "y", axis=3, block_size=3)
    with pytest.raises(UnsupportedModelError, match="block_size"):
        import_onnx(m.model_of([node], [X], ["y"], weights, opset=21))
