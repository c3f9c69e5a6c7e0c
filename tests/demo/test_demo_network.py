"""The committed network reaches the accuracy that was recorded when it was trained."""

import json
import operator
from pathlib import Path

import pytest
import torch
import torch.fx
from torch import nn

from codesign.demo.data import load_test
from codesign.demo.network import WEIGHTS, ResidualNet, example, load_network
from codesign.errors import DataError

RECORD = json.loads(WEIGHTS.with_name("network.json").read_text())


def test_parameters_are_as_many_as_recorded() -> None:
    count = sum(weights.numel() for weights in ResidualNet().parameters())
    assert count == RECORD["parameters"]
    assert 100_000 <= count <= 300_000


def test_reaches_its_recorded_accuracy_on_the_slice() -> None:
    images, labels = map(torch.from_numpy, load_test())
    network = load_network()
    with torch.inference_mode():
        classes = torch.cat([network(part).argmax(1) for part in images.tensor_split(16)])
    correct = int((classes == labels).sum())
    assert len(labels) == RECORD["slice_images"]
    # another build of torch may round two logits the other way
    assert abs(correct - RECORD["slice_correct"]) <= 2
    assert correct >= 0.92 * len(labels)


def test_has_every_kind_of_layer_the_demo_is_to_show() -> None:
    network = ResidualNet()
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert {conv.kernel_size for conv in convs} == {(1, 1), (3, 3)}
    assert any(conv.groups == conv.in_channels > 1 for conv in convs)
    assert any(conv.stride == (2, 2) for conv in convs)
    nodes = torch.fx.symbolic_trace(network).graph.nodes
    assert operator.add in {node.target for node in nodes}
    assert {"pool", "mean", "classify"} <= {node.target for node in nodes}


def test_loaded_network_is_ready_to_evaluate() -> None:
    network, (x,) = example()
    assert not network.training
    assert network(x).shape == (1, 10)
    assert all(weights.dtype == torch.float32 for weights in network.parameters())


def test_missing_weights_say_how_to_train_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train_demo"):
        load_network(tmp_path / "none.safetensors")
