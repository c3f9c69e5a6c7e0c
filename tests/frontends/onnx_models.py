"""Small ONNX models for tests, and onnxruntime as their oracle."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from codesign.frontends.onnx import import_onnx
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph

FLOAT = TensorProto.FLOAT
Feeds = Mapping[str, Any]


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node whose inputs and outputs are names between blanks; `-` is an absent one."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(kind, names[0], names[1], **attributes)


def value(
    name: str, shape: Sequence[int | str | None] | None, element: int = FLOAT
) -> ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def graph_of(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[str | ValueInfoProto],
    weights: Mapping[str, Any] | None = None,
) -> GraphProto:
    """A graph; outputs given by name alone have no declared type."""
    declared = [ValueInfoProto(name=o) if isinstance(o, str) else o for o in outputs]
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()]
    return helper.make_graph(nodes, "test", inputs, declared, tensors)


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[str | ValueInfoProto],
    weights: Mapping[str, Any] | None = None,
    opset: int = 20,
) -> ModelProto:
    """A model of one graph."""
    graph = graph_of(nodes, inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Reproducible normal float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def kinds(graph: Graph) -> list[str]:
    """The kinds of a graph's ops, in order."""
    return [n.kind for n in graph.nodes]


def arrays(feeds: Feeds) -> dict[str, np.ndarray]:
    """Feeds as arrays."""
    return {name: np.asarray(given) for name, given in feeds.items()}


def run(model: ModelProto, feeds: Feeds, **options: Any) -> dict[str, np.ndarray]:
    """What the interpreter computes for the imported model."""
    return evaluate(import_onnx(model, **options), arrays(feeds))


def expected(model: ModelProto, feeds: Feeds) -> dict[str, np.ndarray]:
    """What onnxruntime computes, without its own optimizations."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays(feeds)), strict=True))


def agree(model: ModelProto, feeds: Feeds, rtol: float = 1e-4, **options: Any) -> None:
    """Assert that interpreter and onnxruntime agree, relative to the largest magnitude."""
    found, want = run(model, feeds, **options), expected(model, feeds)
    assert set(found) == set(want)
    for name, array in want.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        scale = float(np.abs(array).max(initial=0)) or 1.0
        gap = np.abs(found[name].astype(np.float64) - array.astype(np.float64))
        assert float(gap.max(initial=0)) <= rtol * scale, name


def cases() -> Mapping[str, ModelProto]:
    """A few valid models of different kinds, small enough to be changed byte by byte."""
    return {"conv": conv_model(), "shapes": shape_model(), "qdq": qdq_model(), "if": if_model()}


def conv_model() -> ModelProto:
    """Convolution, pool, flatten and a fully connected layer."""
    nodes = [
        node("Conv", "x w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "f"),
        node("Gemm", "f v u", "y", transB=1),
    ]
    weights = {
        "w": random(4, 3, 3, 3),
        "b": random(4, seed=1),
        "v": random(5, 16, seed=2),
        "u": random(5, seed=3),
    }
    return model_of(nodes, [value("x", [1, 3, 8, 8])], ["y"], weights, opset=13)


def shape_model() -> ModelProto:
    """A reshape whose sizes are computed from the input's shape."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s first", "n"),
        node("Unsqueeze", "n axes", "m"),
        node("Concat", "m rest", "t", axis=0),
        node("Reshape", "x t", "r"),
        node("Transpose", "r", "y", perm=[1, 0]),
    ]
    weights = {
        "first": np.array(0, np.int64),
        "axes": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
    }
    return model_of(nodes, [value("x", [2, 3, 4])], ["y"], weights, opset=13)


def qdq_model() -> ModelProto:
    """A quantized convolution with a residual add."""
    nodes = [
        node("QuantizeLinear", "x xs xz", "xq"),
        node("DequantizeLinear", "xq xs xz", "xd"),
        node("DequantizeLinear", "w ws wz", "wd", axis=0),
        node("DequantizeLinear", "b bs", "bd", axis=0),
        node("Conv", "xd wd bd", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("QuantizeLinear", "r ys yz", "rq"),
        node("DequantizeLinear", "rq ys yz", "rd"),
        node("Add", "rd xd", "a"),
        node("QuantizeLinear", "a ys yz", "aq"),
        node("DequantizeLinear", "aq ys yz", "y"),
    ]
    scales = np.abs(random(3, seed=4)) / 100 + np.float32(0.001)
    weights = {
        "xs": np.float32(0.05),
        "xz": np.uint8(128),
        "w": np.random.default_rng(1).integers(-127, 128, (3, 3, 3, 3)).astype(np.int8),
        "ws": scales,
        "wz": np.zeros(3, np.int8),
        "b": np.array([1000, -2000, 5], np.int32),
        "bs": scales * np.float32(0.05),
        "ys": np.float32(0.1),
        "yz": np.uint8(100),
    }
    return model_of(nodes, [value("x", [1, 3, 6, 6])], ["y"], weights, opset=13)


def if_model() -> ModelProto:
    """An If that the rank of its input decides."""
    then = graph_of([node("Relu", "x", "then_y")], [], [value("then_y", None)])
    other = graph_of([node("Neg", "x", "else_y")], [], [value("else_y", None)])
    nodes = [
        node("Shape", "x", "s"),
        node("Size", "s", "rank"),
        node("Equal", "rank two", "flat"),
        node("If", "flat", "y", then_branch=then, else_branch=other),
    ]
    return model_of(nodes, [value("x", [2, 3])], ["y"], {"two": np.array(2, np.int64)}, opset=13)


def save(model: ModelProto, path: Any) -> str:
    """Write `model` and return the path as text."""
    onnx.save(model, str(path))
    return str(path)
