"""The codes that the layers of a graph compute with, at any width."""

from collections.abc import Callable, Mapping

import numpy as np

from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph, Node
from codesign.passes.quantize import scales

Weights = Callable[[Node, Int], Int]  # the codes of a layer's weight, given those of its input


class Forms:
    """Encodings of the weights of a graph; the search for a scale is done once a width.

    `largest` are the largest magnitudes of sums that were seen, by layer.
    """

    def __init__(self, graph: Graph, per_channel: bool) -> None:
        self.graph, self.per_channel = graph, per_channel
        self.largest: Mapping[str, float] = {}
        self._spreads: dict[tuple[str, int], np.ndarray] = {}

    def weight(self, node: Node, width: int, x: Int) -> Int:
        """The codes of `width` bits of the weight of layer `node`, to multiply codes of `x`."""
        name = node.operands[1]
        array = self.graph.constants[name].array
        if (name, width) not in self._spreads:
            self._spreads[name, width] = scales.spread(array, width, self.per_channel)
        known = self._spreads[name, width]
        bias, largest = self.bias(node), self.largest.get(node.name, np.inf)
        return scales.weight(array, width, self.per_channel, bias, x, known, largest)

    def bias(self, node: Node) -> np.ndarray | None:
        """The bias of layer `node`, if it has one."""
        operands = node.operands
        return self.graph.constants[operands[2]].array if len(operands) > 2 else None

    def all_of(self, width: int) -> Weights:
        """Every weight in `width` bits."""
        return lambda node, x: self.weight(node, width, x)
