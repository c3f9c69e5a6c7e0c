"""Names, constants, outputs and refusals of the torch importer."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from codesign.errors import (
    CodesignWarning,
    DataError,
    InvalidModelError,
    UnsupportedModelError,
    UsageError,
)
from codesign.frontends.torch import import_torch
from codesign.interpret.evaluate import evaluate
from tests.frontends.torch_agreement import Function, agree, kinds


class Block(nn.Module):
    """A residual block with a squeeze, dropout and a reused activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        scale = torch.sigmoid(self.fc(self.pool(y).flatten(1)))
        return self.relu(x + self.drop(y * scale[:, :, None, None]))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(Block(), Block())
        self.register_buffer("shift", torch.tensor([0.5]))
        self.shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self.layer1(x) + self.shift  # type: ignore[no-any-return]


def example() -> Tensor:
    return torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def test_values_and_constants_have_the_names_of_their_modules() -> None:
    graph = agree(Network(), example())
    assert {
        "layer1.0.conv1.weight",
        "layer1.1.bn1.running_var",
        "layer1.1.fc.bias",
        "shift",
    } <= set(graph.constants)
    names = [node.name for node in graph.nodes]
    assert names[:3] == ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu"]
    assert "layer1.0.relu_1" in names and "layer1.1.add" in names
    assert (graph.name, graph.inputs, graph.output_names) == ("Network", ("x",), ("output",))


def test_dropout_vanishes_and_modules_keep_their_mode() -> None:
    module = Network().train()
    first, second = (block for block in module.layer1.children() if isinstance(block, Block))
    first.eval()
    graph = import_torch(module, (example(),))
    assert "dropout" not in " ".join(kinds(graph))
    assert "batch_norm" in kinds(graph)
    modes = module.training, first.bn1.training, second.bn1.training
    assert modes == (True, False, True)


def test_weights_are_copies() -> None:
    module = nn.Linear(3, 2)
    graph = import_torch(module, (torch.randn(1, 3),))
    before = graph.constants["weight"].array.copy()
    with torch.no_grad():
        module.weight.zero_()
    np.testing.assert_array_equal(graph.constants["weight"].array, before)


def test_outputs_are_named_after_the_keys_that_are_returned() -> None:
    graph = agree(lambda x: {"a": x + 1, "b": {"c": x * 2}}, torch.randn(3))
    assert graph.output_names == ("a", "b.c")
    graph = agree(lambda x: (x + 1, [x * 2, x]), torch.randn(3))
    assert graph.output_names == ("output_0", "output_1", "output_2")


def test_nested_and_keyword_inputs() -> None:
    class Pair(nn.Module):
        def forward(self, pair: dict[str, Tensor], scale: float, y: Tensor) -> Tensor:
            return (pair["a"] - pair["b"]) * scale + y

    a, b, y = torch.randn(3), torch.randn(3), torch.randn(3)
    graph = import_torch(Pair(), ({"a": a, "b": b}, 3.0, y))
    assert graph.inputs == ("pair_a", "pair_b", "y")
    values = (a, b, y)
    found = evaluate(graph, {n: v.numpy() for n, v in zip(graph.inputs, values, strict=True)})
    np.testing.assert_allclose(found["output"], ((a - b) * 3 + y).numpy(), rtol=1e-5, atol=1e-6)


def test_tied_weights_and_masks_of_infinities() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
            self.mask: Tensor

        def forward(self, x: Tensor) -> Tensor:
            return torch.softmax(self.b(self.a(x)) + self.mask[:4, :4], -1)

    graph = agree(Tied(), torch.randn(4, 4))
    assert "mask" in graph.constants


def test_what_only_depends_on_shapes_is_folded() -> None:
    def positions(x: Tensor) -> Tensor:
        at = torch.arange(x.shape[1], device=x.device)
        mask = (at[:, None] >= at[None, :]).to(x.dtype)
        return x @ mask + torch.ones_like(x) * at.float().sin()

    graph = agree(positions, torch.randn(3, 5))
    assert kinds(graph) == ["matmul", "add"]


def test_attention_is_a_chain_of_known_ops() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 5, 8)
    graph = agree(lambda x: layer(x, x, x, need_weights=False)[0], x)
    assert [k for k in kinds(graph) if k in ("matmul", "mul", "softmax", "add")] == [
        "matmul",
        "mul",
        "softmax",
        "matmul",
    ]
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
    assert "layer_norm" in kinds(agree(encoder, x))


class Deep(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


def test_an_unsupported_op_is_named_with_its_place() -> None:
    model = Deep(Function(lambda x: torch.linalg.inv(x)))
    with pytest.raises(UnsupportedModelError) as caught:
        import_torch(model, (torch.eye(3),))
    message = str(caught.value)
    assert "aten.linalg_inv_ex" in message or "aten.linalg_inv" in message
    assert "module body.1" in message and "torch_agreement.py" in message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x + torch.rand(3), "aten.rand"),
        (lambda x: x[x > 0], r"mask|depends on the data|nonzero|cannot trace"),
        (lambda x: x.to(torch.bfloat16) * 2, "element type torch.bfloat16"),
        (lambda x: torch.fft.fft(x).real, "aten._fft_r2c"),
        (lambda x: x if x.sum() > 0 else -x, "cannot trace"),
        (lambda x: "text", "returns no tensor|cannot trace"),
        (
            lambda x: torch.nn.functional.dropout(x, 0.5, training=True),
            "eval|bernoulli|native_drop",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused(function: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        import_torch(Function(function), (torch.randn(3),))


def test_models_with_state_are_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))
            self.count: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.count += 1
            return x * self.count

    with pytest.raises(UnsupportedModelError, match="the model changes count"):
        import_torch(Counter(), (torch.randn(3),))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_named(bad: float) -> None:
    module = Network()
    with torch.no_grad():
        module.get_parameter("layer1.1.conv1.weight")[2, 1, 0, 1] = bad
    with pytest.raises(
        InvalidModelError, match=r"'layer1\.1\.conv1\.weight' holds 1 .*\[2, 1, 0, 1\]"
    ):
        import_torch(module, (example(),))


def test_batch_statistics_of_a_program_in_training_are_refused() -> None:
    program = torch.export.export(nn.BatchNorm1d(3).train(), (torch.randn(4, 3),))
    with pytest.raises(UnsupportedModelError, match=r"call \.eval\(\)"):
        import_torch(program)


def test_usage_errors() -> None:
    with pytest.raises(UsageError, match="needs example_inputs"):
        import_torch(nn.ReLU())
    with pytest.raises(UsageError, match="a tuple with one entry"):
        import_torch(nn.ReLU(), torch.randn(3))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModelError, match="cannot trace Linear"):
        import_torch(nn.Linear(3, 4), (torch.randn(1, 5),))


def dynamic() -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = ({0: batch},)
    module = nn.Conv1d(3, 4, 3)
    return torch.export.export(module, (torch.randn(2, 3, 9),), dynamic_shapes=shapes)


def test_free_extents_must_be_bound() -> None:
    program = dynamic()
    with pytest.raises(
        UnsupportedModelError, match=r"free dimension 0 .* --input-shape input=1,3,9"
    ):
        import_torch(program)
    graph = import_torch(program, shapes={"input": (5, 3, 9)})
    assert graph.types["input"].shape == (5, 3, 9)
    again = import_torch(program, (torch.randn(3, 3, 9),))
    assert again.types[again.outputs[0]].shape == (3, 4, 7)
    with pytest.raises(DataError, match="shapes given for"):
        import_torch(program, shapes={"x": (5, 3, 9)})
    with pytest.raises(UnsupportedModelError, match=r"exported with .*3,9; .* dynamic_shapes"):
        import_torch(program, shapes={"input": (5, 3, 11)})
    with pytest.raises(UnsupportedModelError, match="cannot become 5,3: it was exported"):
        import_torch(program, shapes={"input": (5, 3)})


def test_a_module_in_training_mode_is_compiled_as_eval_with_a_warning() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    with pytest.warns(CodesignWarning, match=r"Sequential is in training mode.*\.eval\(\)"):
        graph = import_torch(module, (torch.randn(1, 3),))
    assert module.training and [node.kind for node in graph.nodes] == ["linear"]
