"""Importing torch functions and modules and comparing the interpreter with torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from codesign.frontends.torch import import_torch
from codesign.interpret.evaluate import evaluate
from codesign.ir.graph import Graph


class Function(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def agree(
    model: torch.nn.Module | Callable[..., Any], *inputs: torch.Tensor, tolerance: float = 1e-5
) -> Graph:
    """The imported graph of `model`, after comparing every output with torch's."""
    module = model if isinstance(model, torch.nn.Module) else Function(model)
    graph = import_torch(module, inputs)
    with torch.no_grad():
        expected = module.eval()(*inputs)
    arrays = {name: x.numpy() for name, x in zip(graph.inputs, inputs, strict=True)}
    found = evaluate(graph, arrays)
    leaves = [leaf.numpy() for leaf in pytree.tree_leaves(expected)]
    assert len(leaves) == len(found)
    for (name, array), leaf in zip(found.items(), leaves, strict=True):
        assert array.dtype == leaf.dtype, name
        np.testing.assert_allclose(array, leaf, rtol=tolerance, atol=tolerance, err_msg=name)
    return graph


def kinds(graph: Graph) -> list[str]:
    """The kinds of the nodes in order."""
    return [node.kind for node in graph.nodes]
