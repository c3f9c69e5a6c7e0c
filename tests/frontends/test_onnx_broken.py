"""Broken files and models: one sentence that says what and where, never a traceback."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from codesign.errors import CodesignError, InvalidModelError, UnsupportedModelError, UsageError
from codesign.frontends.onnx import import_onnx, importer
from tests.frontends import onnx_models as m

Change = Callable[[ModelProto], None]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(UsageError, match=re.escape(str(path))):
            import_onnx(path)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x07", bytes(100)])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=re.escape(str(path))):
        import_onnx(path)


def test_every_truncation_of_a_file_is_refused(tmp_path: Path) -> None:
    content = m.conv_model().SerializeToString()
    path = tmp_path / "model.onnx"
    for size in range(0, len(content) - 1, 97):
        path.write_bytes(content[:size])
        with pytest.raises(CodesignError):
            import_onnx(path)


def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "f"


def _self_loop(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "r"


def _duplicate(model: ModelProto) -> None:
    model.graph.node[1].output[0] = "c"


def _undefined(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


def _undefined_output(model: ModelProto) -> None:
    model.graph.output[0].name = "nowhere"


def _two_initializers(model: ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def _two_inputs(model: ModelProto) -> None:
    model.graph.input.append(model.graph.input[0])


def _two_outputs(model: ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def _no_outputs(model: ModelProto) -> None:
    del model.graph.output[:]


def _nan(model: ModelProto) -> None:
    weight = m.random(4, 3, 3, 3)
    weight[1, 2, 0, 1] = np.nan
    model.graph.initializer[0].raw_data = weight.tobytes()


def _infinite(model: ModelProto) -> None:
    weight = m.random(4, 3, 3, 3)
    weight[0, 0, 0, 0] = -np.inf
    model.graph.initializer[0].raw_data = weight.tobytes()


def _short(model: ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"\0" * 7


def _huge(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 50


def _negative(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -4


def _few_channels(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2


def _huge_pads(model: ModelProto) -> None:
    model.graph.node[0].attribute[1].ints[0] = 1 << 60


def _attribute_type(model: ModelProto) -> None:
    model.graph.node[0].attribute[2].CopyFrom(helper.make_attribute("strides", 2.0))


def _few_inputs(model: ModelProto) -> None:
    del model.graph.node[0].input[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_cycle, "cycle: .*Conv node 'c'.*Flatten node 'f'"),
        (_self_loop, "cycle: Relu node 'r' <- Relu node 'r'"),
        (_duplicate, "value 'c' twice.*Relu node 'c'"),
        (_undefined, "Relu node 'r'.*reads 'nowhere'"),
        (_undefined_output, "returns 'nowhere'"),
        (_two_initializers, "initializer 'w' twice"),
        (_two_inputs, "two inputs"),
        (_two_outputs, "returns a name twice: y, y"),
        (_no_outputs, "no outputs"),
        (_nan, r"initializer 'w' holds 1 NaN and 0 infinite.*\[1, 2, 0, 1\]"),
        (_infinite, r"initializer 'w' holds 0 NaN and 1 infinite.*\[0, 0, 0, 0\]"),
        (_short, r"initializer 'w' holds 7 bytes.*\[4, 3, 3, 3\] of FLOAT needs 432"),
        (_huge, "initializer 'w'.*GiB"),
        (_negative, r"initializer 'w' has the impossible shape \[-4"),
        (_few_channels, "Conv node 'c'.*cannot match channels"),
        (_attribute_type, "Conv node 'c': attribute 'strides' is of type FLOAT, expected INTS"),
        (_few_inputs, "Conv node 'c' has 1 inputs; Conv takes 2 to 3"),
    ],
)
def test_broken_models_are_named(change: Change, message: str) -> None:
    model = m.conv_model()
    change(model)
    with pytest.raises(InvalidModelError, match=message):
        import_onnx(model)


def test_absurd_shapes_are_refused_before_they_are_allocated() -> None:
    model = m.conv_model()
    _huge_pads(model)
    with pytest.raises(UnsupportedModelError, match="GiB"):
        import_onnx(model)
    shape = np.array([1 << 20, 1 << 20], np.int64)
    huge = m.model_of([m.node("ConstantOfShape", "s", "y")], [], ["y"], {"s": shape})
    with pytest.raises(UnsupportedModelError, match=r"ConstantOfShape node 'y'.*GiB"):
        import_onnx(huge)


def test_a_mask_of_minus_infinity_is_no_broken_weight() -> None:
    mask = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    model = m.model_of(
        [m.node("Add", "x mask", "y")], [m.value("x", [3, 3])], ["y"], {"mask": mask}
    )
    assert np.isneginf(m.run(model, {"x": m.random(3, 3)})["y"]).sum() == 3


def test_an_unknown_operator_names_everything() -> None:
    node = helper.make_node("Wavelet", ["x"], ["y"], name="w1", domain="acme", level=3)
    model = m.model_of([node], [m.value("x", [2])], ["y"])
    model.opset_import.append(helper.make_opsetid("acme", 1))
    with pytest.raises(UnsupportedModelError) as caught:
        import_onnx(model)
    for part in ("Wavelet", "acme", "w1", "level"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("node", "attribute"),
    [
        (m.node("BatchNormalization", "x s s s s", "y", training_mode=1), "training_mode"),
        (m.node("Cast", "x", "y", to=TensorProto.BFLOAT16), "to"),
        (m.node("Softmax", "x", "y", axis=1, flavour=2), "flavour"),
        (m.node("Gelu", "x", "y", approximate="erf"), "approximate"),
        (m.node("LpPool", "x", "y", kernel_shape=[1, 1], auto_pad="SAME"), "auto_pad"),
    ],
)
def test_an_unsupported_attribute_is_named(node: object, attribute: str) -> None:
    weights = {"s": m.random(3)}
    model = m.model_of([node], [m.value("x", [1, 3, 4, 4])], ["y"], weights)  # type: ignore[list-item]
    with pytest.raises(UnsupportedModelError) as caught:
        import_onnx(model)
    assert attribute in str(caught.value) and "'y'" in str(caught.value)


@pytest.mark.parametrize("opset", [3, 999])
def test_an_operator_set_out_of_range(opset: int) -> None:
    model = m.conv_model()
    model.opset_import[0].version = opset
    with pytest.raises(UnsupportedModelError, match=f"operator set {opset}; supported are 9 to"):
        import_onnx(model)


@pytest.mark.parametrize("element", [TensorProto.STRING, TensorProto.COMPLEX64, 0, 77])
def test_an_element_type_that_is_not_supported(element: int) -> None:
    model = m.model_of([m.node("Identity", "x", "y")], [m.value("x", [2], element)], ["y"])
    where = r"input 'x' of Identity node 'y' \(operator Identity\) has element type"
    with pytest.raises(UnsupportedModelError, match=where):
        import_onnx(model)


def test_a_function_that_calls_itself() -> None:
    body = [helper.make_node("Again", ["a"], ["b"], domain="own")]
    imports = [helper.make_opsetid("own", 1)]
    node = helper.make_node("Again", ["x"], ["y"], domain="own")
    model = m.model_of([node], [m.value("x", [3])], ["y"])
    model.opset_import.append(imports[0])
    model.functions.append(helper.make_function("own", "Again", ["a"], ["b"], body, imports))
    with pytest.raises(InvalidModelError, match="call themselves"):
        import_onnx(model)


def test_functions_that_expand_to_too_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "MAX_CALLS", 500)
    imports = [helper.make_opsetid("own", 1), helper.make_opsetid("", 20)]
    model = m.model_of(
        [helper.make_node("F19", ["x"], ["y"], domain="own")], [m.value("x", [1])], ["y"]
    )
    model.opset_import.append(imports[0])
    for level in range(20):
        kind, domain = (f"F{level - 1}", "own") if level else ("Identity", "")
        body = [
            helper.make_node(kind, ["a"], ["m"], domain=domain),
            helper.make_node(kind, ["m"], ["b"], domain=domain),
        ]
        model.functions.append(
            helper.make_function("own", f"F{level}", ["a"], ["b"], body, imports)
        )
    with pytest.raises(UnsupportedModelError, match="expands to over"):
        import_onnx(model)
