import numpy as np
import pytest
import torch

from codesign.errors import DataError, UnknownNameError
from codesign.interpret.evaluate import Interpreter, evaluate, trace
from codesign.ir import encoding as enc
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul, Sub
from codesign.ir.ops.encode import Codes, Encode
from codesign.ir.ops.gather import Gather
from codesign.ir.ops.join import Split
from codesign.ir.ops.matmul import Linear
from codesign.ir.types import TensorType
from tests.ir.running import f32, normal


def small() -> Graph:
    """relu(x w + b) + x, over [2, 4]."""
    b = Builder()
    x = b.input("x", (2, 4))
    w, bias = b.constant(normal(4, 4), "w"), b.constant(normal(4, seed=1), "bias")
    h = b.op(Relu(), b.op(Linear(), x, w, bias, name="fc"), name="relu")
    return b.graph(b.op(Add(), h, x, name="sum"), output_names=["logits"])


def test_evaluate_gives_outputs_by_public_name() -> None:
    x = normal(2, 4, seed=2)
    found = evaluate(small(), {"x": x})
    expected = np.maximum(x @ normal(4, 4).T + normal(4, seed=1), 0) + x
    assert list(found) == ["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)


def test_trace_gives_every_or_the_chosen_values() -> None:
    x = normal(2, 4, seed=2)
    every = trace(small(), {"x": x})
    assert list(every) == ["x", "fc", "relu", "sum"]
    np.testing.assert_array_equal(every["relu"], np.maximum(every["fc"], 0))
    chosen = trace(small(), {"x": x}, ["w", "fc"])
    np.testing.assert_array_equal(chosen["w"], normal(4, 4))
    np.testing.assert_array_equal(chosen["fc"], every["fc"])
    with pytest.raises(UnknownNameError, match="did you mean relu"):
        trace(small(), {"x": x}, ["rellu"])


def test_dead_values_are_freed() -> None:
    alive: dict[str, torch.Tensor] = {}
    for node, made in Interpreter(small()).steps({"x": normal(2, 4)}, ()):
        if node is None:
            alive = made  # the interpreter's own table
        assert len(alive) <= 3
    assert not alive


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "given inputs none, but the model takes 'x'"),
        ({"y": normal(2, 4)}, "given inputs 'y'"),
        ({"x": normal(2, 3)}, r"input 'x' is float32\[2, 3\], but the model takes float32\[2, 4\]"),
        ({"x": normal(2, 4).astype(np.float64)}, r"input 'x' is float64\[2, 4\]"),
    ],
)
def test_inputs_that_do_not_match_are_refused(inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(small(), inputs)


def test_inputs_are_not_written_to_and_results_are_copies() -> None:
    b = Builder()
    x = b.input("x", (4,))
    graph = b.graph(x, output_names=["same"])
    array = normal(4)
    array.setflags(write=False)
    found = evaluate(graph, {"x": array})["same"]
    found[:] = 0
    np.testing.assert_array_equal(array, normal(4))


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("axis", [None, 1])
def test_encoded_results_lie_on_the_grid_of_their_encoding(width: int, axis: int | None) -> None:
    scale = Const(f32([0.3, 0.011, 0.5]) if axis is not None else 0.037, "float32")
    zero = Const(-1 if width == 1 else 1, "int32")
    integer = Int(width, scale, zero, axis=axis)
    b = Builder()
    x = b.input("x", (5, 3))
    y = b.op(Mul(), x, b.constant(f32(3.0)), name="y")
    graph = b.graph(b.op(Add(), y, y, name="twice"), y)
    graph = graph.with_types({"y": TensorType((5, 3), DType.F32, (integer,))})
    array = 30 * normal(5, 3)
    found = evaluate(graph, {"x": array})
    expected = enc.project((integer,), array * np.float32(3.0))
    np.testing.assert_array_equal(found["y"], expected)
    np.testing.assert_array_equal(found["twice"], expected + expected)


def test_encoded_inputs_are_rounded_and_codes_can_be_read() -> None:
    integer = Int(8, Const(0.1, "float32"), Const(3, "int32"))
    b = Builder()
    x = b.input("x", (4,))
    q = b.op(Encode(), x, name="q")
    b.types["q"] = TensorType((4,), DType.F32, (integer,))
    graph = b.graph(b.op(Codes("i8"), q, name="codes"), q)
    array = f32([0.0, 0.249, -100, 5.05])
    found = evaluate(graph, {"x": array})
    assert found["codes"].dtype == np.int8
    np.testing.assert_array_equal(found["codes"], integer.encode(array)["values"])
    encoded = graph.with_types({"x": TensorType((4,), DType.F32, (integer,))})
    np.testing.assert_array_equal(trace(encoded, {"x": array})["x"], enc.project((integer,), array))


@pytest.mark.parametrize("dtype", [DType.U8, DType.U16, DType.U32, DType.U64])
def test_unsigned_integers_wrap_as_in_numpy(dtype: DType) -> None:
    b = Builder()
    x, y = b.input("x", (3,), dtype), b.input("y", (3,), dtype)
    graph = b.graph(b.op(Sub(), x, y, name="d"), b.op(Mul(), x, y, name="p"))
    info = np.iinfo(dtype.numpy)
    arrays = {
        "x": np.array([0, 5, info.max], dtype.numpy),
        "y": np.array([1, 2, info.max // 3], dtype.numpy),
    }
    found = evaluate(graph, arrays)
    np.testing.assert_array_equal(found["d"], arrays["x"] - arrays["y"])
    np.testing.assert_array_equal(found["p"], arrays["x"] * arrays["y"])
    assert found["d"].dtype == dtype.numpy


def test_a_position_out_of_range_names_its_node() -> None:
    b = Builder()
    x, i = b.input("x", (3,)), b.input("i", (1,), DType.I64)
    graph = b.graph(b.op(Gather(0), x, i, name="lookup"))
    with pytest.raises(DataError, match=r"gather %lookup: positions 7\.\.7"):
        evaluate(graph, {"x": normal(3), "i": np.array([7])})


def test_unused_results_and_repeated_outputs() -> None:
    b = Builder()
    x = b.input("x", (4,))
    first, _ = b.results(Split(0, (1, 3)), x, names=["a"])
    graph = b.graph(first, first, output_names=["one", "two"])
    found = evaluate(graph, {"x": normal(4)})
    assert found["one"] == found["two"] == normal(4)[:1]


def test_an_interpreter_runs_many_times() -> None:
    b = Builder()
    x = b.input("x", (1, 2, 5, 5))
    graph = b.graph(b.op(Conv(), x, b.constant(normal(3, 2, 3, 3), "w"), name="y"))
    run = Interpreter(graph)
    for seed in range(3):
        array = normal(1, 2, 5, 5, seed=seed)
        np.testing.assert_array_equal(run({"x": array})["y"], evaluate(graph, {"x": array})["y"])
