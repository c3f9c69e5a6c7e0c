"""Running a graph again with a few values changed, from the first of them on."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from codesign.interpret.arrays import to_torch
from codesign.interpret.evaluate import Interpreter
from codesign.interpret.rounding import project
from codesign.interpret.step import compute
from codesign.ir.encoding import Encoding
from codesign.ir.graph import Graph, Node

Replaced = Mapping[tuple[str, str], np.ndarray]  # by node and the value that it reads


class Replay:
    """Every value of one run of `graph`, kept, so that another run computes only what differs."""

    @torch.no_grad()
    def __init__(self, graph: Graph, inputs: Mapping[str, np.ndarray]) -> None:
        interpreter = Interpreter(graph)
        self.graph, self.last_use = graph, interpreter.last_use
        self.values: dict[str, Tensor] = dict(interpreter.constants)
        for _, made in interpreter.steps(inputs, graph.types):
            self.values |= made

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs of that run, in order."""
        return tuple(self.values[value] for value in self.graph.outputs)

    @torch.no_grad()
    def changed(self, replaced: Replaced, encodings: Mapping[str, Encoding]) -> tuple[Tensor, ...]:
        """The outputs where nodes read `replaced` and values are rounded to `encodings`."""
        new = {v: self._rounded(v, self.values[v], encodings) for v in self._first(encodings)}
        swapped = {node for node, _ in replaced}
        for position, node in enumerate(self.graph.nodes):
            dirty = node.name in swapped or any(v in new for v in node.operands)
            if dirty:
                new |= self._run(node, replaced, new)
            for value in node.outputs if dirty or encodings else ():
                if value in encodings:
                    new[value] = self._rounded(value, new.get(value, self.values[value]), encodings)
            self._free(node, position, new)
        return tuple(new.get(value, self.values[value]) for value in self.graph.outputs)

    def _first(self, encodings: Mapping[str, Encoding]) -> list[str]:
        return [value for value in self.graph.inputs if value in encodings]

    def _rounded(self, value: str, x: Tensor, encodings: Mapping[str, Encoding]) -> Tensor:
        return project(x, (encodings[value],))

    def _run(self, node: Node, replaced: Replaced, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        operands: list[Tensor | None] = []
        for value in node.inputs:
            if value is not None and (node.name, value) in replaced:
                operands.append(to_torch(replaced[node.name, value]))
            else:
                operands.append(None if value is None else new.get(value, self.values[value]))
        return dict(zip(node.outputs, compute(self.graph, node, operands), strict=True))

    def _free(self, node: Node, position: int, new: dict[str, Tensor]) -> None:
        for value in {*node.operands, *node.outputs}:
            if self.last_use.get(value, -1) <= position and value not in self.graph.outputs:
                new.pop(value, None)
