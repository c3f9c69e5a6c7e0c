"""The same network in ONNX Runtime, fp32 and statically quantized, for comparison."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codesign.demo.compare import INPUT, Outcome
from codesign.demo.data import load_calibration, load_test
from codesign.errors import UnsupportedModelError
from codesign.ir.graph import Graph, Node
from codesign.rewrite.score import accuracy

OPSET = 17


def installed() -> bool:
    """True if ONNX Runtime and onnx are at hand."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def run_peer(graph: Graph, folder: Path) -> list[Outcome]:
    """ONNX Runtime on `graph`, batch norms folded: as it is, and quantized to 8 bits."""
    import onnx

    plain, quantized = folder / "fp32.onnx", folder / "int8.onnx"
    onnx.save(to_onnx(graph), plain)
    quantize(plain, quantized)
    return [judge("fp32", plain), judge("int8", quantized)]


def judge(name: str, path: Path) -> Outcome:
    """Accuracy and size of an ONNX file, and how to run it on one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    test = load_test()
    found = [session.run(None, {INPUT: image[None]})[0] for image in test.images]
    one = {INPUT: test.images[:1]}
    right = accuracy(np.concatenate(found), test.labels)
    size = path.stat().st_size
    return Outcome(name, right, size, size, lambda: session.run(None, one))


def quantize(plain: Path, quantized: Path) -> None:
    """Static 8-bit quantization by ONNX Runtime's own tool, calibrated on the same images."""
    import logging

    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The calibration images, one at a time."""

        def __init__(self) -> None:
            self.rows: Iterator[Any] = iter(load_calibration().images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rows, None)
            return None if image is None else {INPUT: image[None]}

    logging.disable(logging.WARNING)
    try:
        quantize_static(
            str(plain),
            str(quantized),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)


def to_onnx(graph: Graph) -> Any:
    """An ONNX model of `graph`; UnsupportedModelError for an op that the demo does not have."""
    from onnx import TensorProto, helper, numpy_helper

    initializers = [numpy_helper.from_array(c.array, name) for name, c in graph.constants.items()]
    nodes = [_node(graph, node) for node in graph.nodes]

    def port(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, graph.types[name].shape)

    inputs, outputs = [port(v) for v in graph.inputs], [port(v) for v in graph.outputs]
    whole = helper.make_graph(nodes, graph.name, inputs, outputs, initializers)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    return model


def _node(graph: Graph, node: Node) -> Any:
    from onnx import helper

    kind, attributes = _operator(node)
    names = ["" if value is None else value for value in node.inputs]
    while names and not names[-1]:
        names.pop()
    return helper.make_node(kind, names, list(node.outputs), **attributes)


def _operator(node: Node) -> tuple[str, Mapping[str, Any]]:
    """ONNX operator and attributes of `node`."""
    op: Any = node.op
    if node.kind == "conv":
        begin, end = zip(*op.pads, strict=True)
        return "Conv", {"strides": op.strides, "pads": (*begin, *end), "group": op.groups}
    if node.kind == "max_pool":
        return "MaxPool", {"kernel_shape": op.kernel, "strides": op.strides}
    if node.kind == "reduce_mean":
        return "ReduceMean", {"axes": op.axes, "keepdims": int(op.keepdims)}
    if node.kind == "linear":
        return "Gemm", {"transB": 1}
    plain = {"relu": "Relu", "add": "Add", "flatten": "Flatten"}
    if node.kind not in plain:
        raise UnsupportedModelError(f"the demo's ONNX form has no {node.kind} (%{node.name})")
    return plain[node.kind], {}
