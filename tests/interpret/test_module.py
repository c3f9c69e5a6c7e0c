import numpy as np
import pytest
import torch

from codesign.errors import DataError, UnknownNameError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.module import as_module, learnable, to_graph
from codesign.ir import encoding as enc
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Mul
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.types import TensorType
from tests.ir.running import f32, normal


def network() -> Graph:
    b = Builder()
    x = b.input("x", (8, 2, 6, 6))
    w = b.constant(0.3 * normal(4, 2, 3, 3), "conv.weight")
    names = ("bn.scale", "bn.bias", "bn.mean", "bn.var")
    values = (np.ones(4), np.zeros(4), np.zeros(4), np.ones(4))
    norm = [b.constant(f32(v), n) for n, v in zip(names, values, strict=True)]
    y = b.op(BatchNorm(), b.op(Conv(), x, w, name="conv"), *norm, name="bn")
    y = b.op(Mul(), b.op(Relu(), y, name="relu"), b.constant(f32(0.5), "half"), name="scaled")
    return b.graph(b.op(ReduceMean((2, 3), False), y, name="out"))


def quantized(graph: Graph) -> Graph:
    """8-bit weights and 4-bit activations after relu."""
    weight = Int(8, Const(0.01, "float32"))
    types = graph.types
    changed = graph.with_types(
        {
            "conv.weight": types["conv.weight"].with_encoding(weight),
            "relu": types["relu"].with_encoding(Int(4, Const(0.2, "float32"), signed=False)),
        }
    )
    from dataclasses import replace

    array = enc.project((weight,), graph.constants["conv.weight"].array)
    return replace(changed, constants={**graph.constants, "conv.weight": Const(array)})


def test_statistics_and_scalars_are_not_learnable() -> None:
    assert learnable(network()) == ["conv.weight", "bn.scale", "bn.bias"]


@pytest.mark.parametrize("make", [network, lambda: quantized(network())])
def test_the_module_computes_what_the_interpreter_does(make: object) -> None:
    assert callable(make)
    graph = make()
    x = normal(8, 2, 6, 6, seed=3)
    with torch.no_grad():
        (found,) = as_module(graph)(torch.from_numpy(x))
    np.testing.assert_array_equal(found.numpy(), evaluate(graph, {"x": x})["out"])


def test_training_lowers_the_loss_and_weights_stay_on_their_grid() -> None:
    torch.manual_seed(0)
    module = as_module(quantized(network()))
    assert set(module.trained) == {"conv.weight", "bn.scale", "bn.bias"}
    x, goal = torch.from_numpy(normal(8, 2, 6, 6, seed=3)), torch.rand(8, 4)
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    losses = []
    for _ in range(30):
        (y,) = module(x)
        loss = (y - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    trained = to_graph(module)
    weight = trained.constants["conv.weight"].array
    encodings = trained.types["conv.weight"].encodings
    np.testing.assert_array_equal(enc.project(encodings, weight), weight)
    assert not np.array_equal(weight, network().constants["conv.weight"].array)
    np.testing.assert_array_equal(
        trained.constants["bn.mean"].array, network().constants["bn.mean"].array
    )
    with torch.no_grad():
        (y,) = module(x)
    found = evaluate(trained, {"x": x.numpy()})["out"]
    np.testing.assert_array_equal(found, y.numpy())


def test_gradients_pass_straight_through_except_where_clipped() -> None:
    b = Builder()
    x = b.input("x", (4,))
    graph = b.graph(b.op(Relu(), x, name="y"))
    grid = TensorType((4,), DType.F32, (Int(4, Const(0.1, "float32"), signed=False),))
    module = as_module(graph.with_types({"y": grid}))
    given = torch.tensor([-1.0, 0.33, 1.2, 9.0], requires_grad=True)
    (y,) = module(given)
    np.testing.assert_allclose(y.detach().numpy(), [0, 0.3, 1.2, 1.5], rtol=1e-6)
    (gradient,) = torch.autograd.grad(y.sum(), given)
    assert gradient.tolist() == [0, 1, 1, 0]


def test_only_chosen_constants_are_trained() -> None:
    module = as_module(network(), ["bn.bias"])
    assert list(module.trained) == ["bn.bias"]
    with pytest.raises(UnknownNameError, match="did you mean"):
        as_module(network(), ["bn.bais"])


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="input 'x' has shape"):
        as_module(network())(torch.zeros(1, 2, 6, 6))
    with pytest.raises(DataError, match="given 0 inputs"):
        as_module(network())()


def test_a_diverged_training_is_refused() -> None:
    module = as_module(network())
    with torch.no_grad():
        module.trained["bn.bias"][2] = torch.nan
    with pytest.raises(DataError, match=r"'bn\.bias' holds values that are not finite"):
        to_graph(module)
