"""Infinite weights of layers are refused; infinite masks and bounds are not."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from codesign.errors import InvalidModelError
from codesign.frontends.onnx import import_onnx

INF = np.inf


def model(kind: str, constants: dict[str, object], shape: tuple[int, ...]) -> ModelProto:
    """One node `kind` that reads `x` and the constants."""
    helper = onnx.helper
    inputs = ["x", *constants]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, ["y"], "layer")],
        "g",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, None)],
        [onnx.numpy_helper.from_array(np.asarray(a, "f"), n) for n, a in constants.items() if n],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("kind", "constants", "shape", "name"),
    [
        ("Conv", {"w": np.ones((2, 1, 1, 1)), "b": [INF, INF]}, (1, 1, 3, 3), "b"),
        ("Gemm", {"w": np.ones((3, 2)), "b": [-INF, 0]}, (2, 3), "b"),
        ("MatMul", {"w": [[INF]]}, (2, 1), "w"),
        ("LayerNormalization", {"s": [1, 1], "b": [INF, INF]}, (2, 2), "b"),
        ("BatchNormalization", {"s": [INF], "b": [0], "m": [0], "v": [1]}, (2, 1, 3), "s"),
    ],
)
def test_weights_of_layers_are_finite(
    kind: str, constants: dict[str, object], shape: tuple[int, ...], name: str
) -> None:
    with pytest.raises(InvalidModelError, match=rf"weight '{name}.*' of .*not finite"):
        import_onnx(model(kind, constants, shape))


@pytest.mark.parametrize(
    ("kind", "constants"),
    [("Add", {"mask": [[0, -INF], [0, 0]]}), ("Clip", {"low": -INF, "high": INF})],
)
def test_masks_and_bounds_may_be_infinite(kind: str, constants: dict[str, object]) -> None:
    assert import_onnx(model(kind, constants, (2, 2))).outputs
