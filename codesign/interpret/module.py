"""A graph as a torch module that can be trained, and the trained graph back."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from codesign.errors import DataError, UnknownNameError
from codesign.interpret.arrays import to_torch
from codesign.interpret.rounding import element_of, project
from codesign.interpret.step import compute
from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.graph import Graph
from codesign.ir.ops.norm import BatchNorm


class GraphModule(torch.nn.Module):
    """The torch form of a graph; `forward` takes the inputs in order and returns the outputs.

    Trained constants are parameters, the others buffers. Encoded weights are projected onto their
    encodings, encoded activations rounded, at every call; gradients pass straight through.
    """

    def __init__(self, graph: Graph, trained: Collection[str]) -> None:
        super().__init__()
        self.graph = graph
        self.attributes: dict[str, str] = {}
        for i, (name, const) in enumerate(graph.constants.items()):
            attribute = f"c{i}_{name.replace('.', '_')}"
            self.attributes[name] = attribute
            tensor = to_torch(const.array).clone()
            if name in trained:
                self.register_parameter(attribute, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(attribute, tensor)

    def constant(self, name: str) -> Tensor:
        """The parameter or buffer of constant `name`, before projection."""
        found: Tensor = getattr(self, self.attributes[name])
        return found

    @property
    def trained(self) -> dict[str, Tensor]:
        """The parameters by the names of their constants."""
        found = {name: self.constant(name) for name in self.attributes}
        return {n: p for n, p in found.items() if isinstance(p, torch.nn.Parameter)}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in order, for the inputs in order."""
        graph = self.graph
        if len(inputs) != len(graph.inputs):
            raise DataError(f"given {len(inputs)} inputs, the graph takes {len(graph.inputs)}")
        alive = {name: self._logical(name) for name in self.attributes}
        for name, tensor in zip(graph.inputs, inputs, strict=True):
            kind = graph.types[name]
            if tuple(tensor.shape) != kind.shape:
                raise DataError(f"input {name!r} has shape {tuple(tensor.shape)}, not {kind.shape}")
            alive[name] = project(tensor, element_of(kind.encodings))
        for node in graph.nodes:
            operands = [None if v is None else alive[v] for v in node.inputs]
            alive |= zip(node.outputs, compute(graph, node, operands), strict=True)
        return tuple(alive[value] for value in graph.outputs)

    def _logical(self, name: str) -> Tensor:
        tensor = self.constant(name)
        trained = isinstance(tensor, torch.nn.Parameter)
        return project(tensor, self.graph.types[name].encodings, weight=True) if trained else tensor


def learnable(graph: Graph) -> list[str]:
    """The constants that training may change: float ones with axes that are no statistics.

    Scalars (epsilons, factors of a formula) and the mean and variance of a batch norm are not.
    """
    statistics = {
        value
        for node in graph.nodes
        if isinstance(node.op, BatchNorm)
        for value in node.inputs[3:5]
    }
    return [
        name
        for name, const in graph.constants.items()
        if const.array.dtype.kind == "f" and const.shape and name not in statistics
    ]


def as_module(graph: Graph, trained: Collection[str] | None = None) -> GraphModule:
    """`graph` as a torch module whose constants `trained` (default: `learnable`) are parameters.

    UnknownNameError if one of `trained` is no constant.
    """
    for name in trained or ():
        if name not in graph.constants:
            raise UnknownNameError("constant", name, graph.constants)
    return GraphModule(graph, learnable(graph) if trained is None else trained)


def to_graph(module: GraphModule) -> Graph:
    """The module's graph with the values of its parameters, projected onto their encodings.

    DataError names a parameter that is not finite (training diverged).
    """
    constants = dict(module.graph.constants)
    for name, parameter in module.trained.items():
        array = np.array(parameter.detach().numpy(), copy=True)
        if not np.isfinite(array).all():
            raise DataError(f"trained constant {name!r} holds values that are not finite")
        constants[name] = Const.share(enc.project(module.graph.types[name].encodings, array))
    return replace(module.graph, constants=constants)
