"""QONNX operators in numpy, from their specification, and small models of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from codesign.frontends.onnx import import_onnx
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from tests.frontends import onnx_models as m

DOMAIN = "qonnx.custom_op.general"
F32 = np.float32
ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ROUND": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.fix,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + F32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - F32(0.5)),
}


def bounds(width: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and the largest level."""
    if signed:
        return -(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1
    return 0, 2**width - 1 - narrow


def quant(
    x: np.ndarray,
    scale: np.ndarray | F32,
    zero: np.ndarray | F32,
    width: int,
    signed: bool = True,
    narrow: bool = False,
    mode: str = "ROUND",
) -> np.ndarray:
    """IntQuant, every step in float32."""
    low, high = bounds(width, signed, narrow)
    y = ROUNDING[mode](np.clip(x / scale + zero, F32(low), F32(high)))
    found: np.ndarray = (y - zero) * scale
    return found


def bipolar(x: np.ndarray, scale: np.ndarray | F32) -> np.ndarray:
    """BipolarQuant."""
    found: np.ndarray = np.where(x >= 0, F32(1), F32(-1)) * scale
    return found


def node(kind: str, inputs: str, output: str, domain: str = DOMAIN, **attributes: Any) -> NodeProto:
    """A node of QONNX."""
    return helper.make_node(kind, inputs.split(), [output], domain=domain, **attributes)


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    weights: Mapping[str, Any],
    version: int | None = 1,
    domain: str = DOMAIN,
) -> ModelProto:
    """A model that returns y and imports `version` of QONNX's operators, or does not say which."""
    model = m.model_of(nodes, inputs, ["y"], weights, opset=13)
    if version is not None:
        model.opset_import.append(helper.make_opsetid(domain, version))
    return model


def quant_model(shape: Sequence[int], weights: Mapping[str, Any], **attributes: Any) -> ModelProto:
    """y = Quant(x, s, z, b)."""
    return model_of([node("Quant", "x s z b", "y", **attributes)], [m.value("x", shape)], weights)


def constant_model(w: np.ndarray, weights: Mapping[str, Any], **attributes: Any) -> ModelProto:
    """y = x + Quant(w, s, z, b)."""
    nodes = [node("Quant", "w s z b", "q", **attributes), m.node("Add", "x q", "y")]
    return model_of(nodes, [m.value("x", w.shape)], {"w": w, **weights})


def both(model: ModelProto, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the imported model computes in floats, and on codes."""
    graph = import_onnx(model)
    return evaluate(graph, {"x": x})["y"], evaluate_integer(graph, {"x": x})["y"]
