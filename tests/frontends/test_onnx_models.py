"""Whole imports against onnxruntime: names, folding, control flow, functions."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from codesign.errors import UnknownNameError, UnsupportedModelError, UsageError
from codesign.frontends.onnx import import_onnx
from tests.frontends import onnx_models as m


def test_small_models_agree_with_onnxruntime() -> None:
    for name, model in m.cases().items():
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        if name != "qdq":
            m.agree(model, {"x": m.random(*shape)})


def test_values_keep_the_names_of_the_model() -> None:
    graph = import_onnx(m.conv_model())
    assert graph.inputs == ("x",)
    assert graph.output_names == graph.outputs == ("y",)
    assert [n.name for n in graph.nodes] == ["c", "r", "p", "f", "y"]
    assert set(graph.constants) == {"w", "b", "v", "u"}


def test_an_output_that_is_an_input_keeps_both_names() -> None:
    model = m.model_of([m.node("Identity", "x", "y")], [m.value("x", [2])], ["y"])
    graph = import_onnx(model)
    assert graph.nodes == () and graph.outputs == ("x",) and graph.output_names == ("y",)
    m.agree(model, {"x": m.random(2)})


def test_shape_arithmetic_is_folded_away() -> None:
    graph = import_onnx(m.shape_model())
    assert m.kinds(graph) == ["reshape", "transpose"]
    assert not graph.constants


def test_a_changed_input_shape_changes_what_is_folded() -> None:
    graph = import_onnx(m.shape_model(), {"x": (5, 3, 4)})
    assert graph.types["y"].shape == (12, 5)


def test_a_branch_that_the_shape_decides_is_taken() -> None:
    assert m.kinds(import_onnx(m.if_model())) == ["relu"]
    assert m.kinds(import_onnx(m.if_model(), {"x": (2, 4)})) == ["relu"]


def test_a_condition_known_at_run_time_only_is_refused() -> None:
    model = m.if_model()
    model.graph.node[2].input[0] = "z"
    model.graph.input.append(m.value("z", [], TensorProto.INT64))
    with pytest.raises(UnsupportedModelError, match=r"If.*condition 'flat'.*graph input 'z'"):
        import_onnx(model)
    assert m.kinds(import_onnx(model, constants={"z": 2})) == ["relu"]
    assert m.kinds(import_onnx(model, constants={"z": 3})) == ["neg"]


def test_initializers_that_are_listed_as_inputs_become_constants() -> None:
    model = m.conv_model()
    model.graph.input.append(m.value("w", [4, 3, 3, 3]))
    assert import_onnx(model).inputs == ("x",)


def test_identity_and_dropout_vanish() -> None:
    nodes = [m.node("Identity", "x", "a"), m.node("Dropout", "a", "b"), m.node("Abs", "b", "y")]
    assert m.kinds(import_onnx(m.model_of(nodes, [m.value("x", [2])], ["y"]))) == ["abs"]


def test_a_resize_to_another_inputs_size() -> None:
    nodes = [
        m.node("Shape", "z", "s", start=2),
        m.node("Concat", "lead s", "t", axis=0),
        m.node("Resize", "x - - t", "y", mode="linear"),
    ]
    inputs = [m.value("x", [1, 2, 5, 4]), m.value("z", [1, 1, 7, 9])]
    model = m.model_of(nodes, inputs, ["y"], {"lead": np.array([1, 2], np.int64)})
    m.agree(model, {"x": m.random(1, 2, 5, 4), "z": m.random(1, 1, 7, 9)})


def test_a_slice_with_computed_bounds() -> None:
    nodes = [
        m.node("Shape", "x", "s"),
        m.node("Div", "s two", "h"),
        m.node("Slice", "x h s", "y"),
    ]
    model = m.model_of(nodes, [m.value("x", [4, 6])], ["y"], {"two": np.array(2, np.int64)})
    assert m.kinds(import_onnx(model)) == ["slice"]
    m.agree(model, {"x": m.random(4, 6)})


def test_functions_of_the_model_are_expanded() -> None:
    body = [
        helper.make_node("Mul", ["a", "a"], ["square"]),
        helper.make_node("LeakyRelu", ["square"], ["out"]),
    ]
    reference = body[1].attribute.add()
    reference.name, reference.type = "alpha", 1
    reference.ref_attr_name = "slope"
    function = helper.make_function(
        "own", "Squared", ["a"], ["out"], body, [helper.make_opsetid("", 20)], ["slope"]
    )
    node = helper.make_node("Squared", ["x"], ["y"], domain="own", slope=0.25)
    model = m.model_of([node], [m.value("x", [3])], ["y"])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(function)
    graph = import_onnx(model)
    assert m.kinds(graph) == ["mul", "leaky_relu"]
    assert graph.nodes[1].op.alpha == 0.25  # type: ignore[attr-defined]
    m.agree(model, {"x": m.random(3)})


def test_operators_that_the_standard_defines_through_others() -> None:
    model = m.model_of(
        [m.node("MeanVarianceNormalization", "x", "y")], [m.value("x", [2, 3, 4, 4])], ["y"]
    )
    m.agree(model, {"x": m.random(2, 3, 4, 4)})


def test_outer_values_are_seen_inside_branches() -> None:
    then = m.graph_of([m.node("Add", "x w", "t")], [], [m.value("t", None)])
    other = m.graph_of([m.node("Sub", "x w", "e")], [], [m.value("e", None)])
    nodes = [m.node("If", "yes", "y", then_branch=then, else_branch=other)]
    weights = {"yes": np.array(True), "w": m.random(2)}
    model = m.model_of(nodes, [m.value("x", [2])], [m.value("y", [2])], weights)
    assert m.kinds(import_onnx(model)) == ["add"]
    m.agree(model, {"x": m.random(2)})


@pytest.mark.parametrize("shape", [["N", 3, "H", 8], [None, 3, None, 8], [-1, 3, "?", 8]])
def test_free_dimensions_are_refused_by_name(shape: list[object]) -> None:
    model = m.model_of([m.node("Relu", "x", "y")], [m.value("x", shape)], ["y"])  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModelError, match=r"'x'.*dimension 0.*--input-shape x=1,3,224,8"):
        import_onnx(model)
    assert import_onnx(model, {"x": (2, 3, 4, 8)}).types["x"].shape == (2, 3, 4, 8)


def test_an_input_without_a_shape_is_refused_until_bound() -> None:
    model = m.model_of([m.node("Relu", "x", "y")], [m.value("x", None)], ["y"])
    with pytest.raises(UnsupportedModelError, match="'x' has no shape"):
        import_onnx(model)
    assert import_onnx(model, {"x": (2,)}).types["y"].shape == (2,)


def test_a_bound_symbol_holds_for_other_inputs() -> None:
    inputs = [m.value("a", ["N", 2]), m.value("b", ["N", 2])]
    model = m.model_of([m.node("Add", "a b", "y")], inputs, ["y"])
    assert import_onnx(model, {"a": (3, 2)}).types["b"].shape == (3, 2)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "unknown graph input 'z'"),
        ({"x": (1, 2)}, "has 2 dimensions"),
        ({"x": (1, 3, 0, 8)}, "an extent below 1"),
    ],
)
def test_bindings_that_do_not_fit(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    model = m.model_of([m.node("Relu", "x", "y")], [m.value("x", ["N", 3, 4, 8])], ["y"])
    with pytest.raises(UsageError, match=message):
        import_onnx(model, shapes)


def test_constants_that_do_not_fit() -> None:
    with pytest.raises(UnknownNameError):
        import_onnx(m.conv_model(), constants={"q": 1})
    with pytest.raises(UsageError, match="has shape"):
        import_onnx(m.conv_model(), constants={"x": [1.0, 2.0]})


def test_loops_of_known_length_are_written_out() -> None:
    body = m.graph_of(
        [
            m.node("Mul", "state x", "next"),
            m.node("Identity", "going", "on"),
            m.node("Add", "next step", "row"),
            m.node("Identity", "next", "kept"),
        ],
        [m.value("i", []), m.value("going", []), m.value("state", [])],
        ["on", "kept", "row"],
    )
    body.node.insert(0, m.node("Cast", "i", "step", to=TensorProto.FLOAT))
    loop = m.node("Loop", "n - first", "y rows", body=body)
    weights = {"n": np.array(3, np.int64), "first": m.random(2)}
    model = m.model_of([loop], [m.value("x", [2])], ["y", "rows"], weights)
    for info, element in zip(body.input, (TensorProto.INT64, TensorProto.BOOL, 1), strict=True):
        info.type.tensor_type.elem_type = element
    graph = import_onnx(model)
    assert m.kinds(graph).count("mul") == 3 and graph.types["rows"].shape == (3, 2)
    x = m.random(2, seed=5)
    found = m.run(model, {"x": x})
    states = [weights["first"] * x ** (i + 1) for i in range(3)]
    assert np.allclose(found["y"], states[-1], rtol=1e-5)
    assert np.allclose(found["rows"], [state + i for i, state in enumerate(states)], rtol=1e-5)


def test_a_constant_that_grows_large_stays_an_op() -> None:
    nodes = [m.node("Expand", "one s", "e"), m.node("ReduceSum", "e", "r", keepdims=0)]
    weights = {"one": np.ones(1, np.float32), "s": np.array([1 << 13, 1 << 13], np.int64)}
    model = m.model_of([*nodes, m.node("Add", "x r", "y")], [m.value("x", [2])], ["y"], weights)
    assert m.kinds(import_onnx(model)) == ["expand", "reduce_sum", "add"]
