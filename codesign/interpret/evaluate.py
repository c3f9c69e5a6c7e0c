"""Running a graph on numpy arrays, in torch, by the ops' own meaning."""

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from codesign.errors import UnknownNameError
from codesign.interpret.arrays import check_inputs, to_numpy, to_torch
from codesign.interpret.rounding import element_of, project
from codesign.interpret.step import compute
from codesign.ir.graph import Graph, Node


class Interpreter:
    """A graph ready to be run many times. Constants are taken as they are: on their grid.

    Float results are rounded onto the element encoding of their type (fake quantization); layouts,
    structures and factors of activations mean nothing here.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = {name: to_torch(c.array) for name, c in graph.constants.items()}

    @cached_property
    def last_use(self) -> dict[str, int]:
        """The number of the last node that reads each value."""
        return {v: i for i, node in enumerate(self.graph.nodes) for v in node.operands}

    def steps(
        self, inputs: Mapping[str, np.ndarray], kept: Collection[str]
    ) -> Iterator[tuple[Node | None, dict[str, Tensor]]]:
        """Run node by node; yields each node with what it made, the inputs first with None.

        Values that no later node reads are freed unless `kept`.
        """
        check_inputs(self.graph, inputs)
        alive = {name: self._input(name, inputs[name]) for name in self.graph.inputs}
        yield None, alive
        for position, node in enumerate(self.graph.nodes):
            found = [None if v is None else self._value(v, alive) for v in node.inputs]
            made = dict(zip(node.outputs, compute(self.graph, node, found), strict=True))
            alive |= made
            yield node, made
            for value in {*node.operands, *node.outputs}:
                if self.last_use.get(value, -1) <= position and value not in kept:
                    alive.pop(value, None)

    def _input(self, name: str, array: np.ndarray) -> Tensor:
        return project(to_torch(array), element_of(self.graph.types[name].encodings))

    def _value(self, name: str, alive: Mapping[str, Tensor]) -> Tensor:
        return alive[name] if name in alive else self.constants[name]

    @torch.no_grad()
    def collect(
        self, inputs: Mapping[str, np.ndarray], values: Collection[str]
    ) -> dict[str, np.ndarray]:
        """Run, and return copies of the chosen values (inputs, constants or results) by name."""
        wanted, types = frozenset(values), self.graph.types
        found = {v: self.constants[v] for v in wanted if v in self.constants}
        for _, made in self.steps(inputs, ()):
            found |= {v: x for v, x in made.items() if v in wanted}
        return {v: to_numpy(found[v], types[v].dtype) for v in values}

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by their public names."""
        found = self.collect(inputs, self.graph.outputs)
        pairs = zip(self.graph.output_names, self.graph.outputs, strict=True)
        return {public: found[value] for public, value in pairs}


def evaluate(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of `graph` by their public names, for `inputs` by name.

    DataError if names, shapes or element types of the inputs do not match the graph's.
    """
    return Interpreter(graph)(inputs)


def trace(
    graph: Graph, inputs: Mapping[str, np.ndarray], values: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Every input and result (or the chosen `values`) of `graph`, by name.

    UnknownNameError if a chosen value does not exist; DataError as in `evaluate`.
    """
    every = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
    chosen = every if values is None else values
    for value in chosen:
        if value not in graph.types:
            raise UnknownNameError("value", value, graph.types)
    return Interpreter(graph).collect(inputs, chosen)
