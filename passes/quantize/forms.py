"""The codes that the layers of a graph compute with, at any width."""

from collections.abc import Callable, Mapping

import numpy as np

from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.passes.quantize import scales

Weights = Callable[[Node, Int], Int]  # the codes of a layer's weight, given those of its input
Content = Callable[[str, Int], np.ndarray]  # what is rounded of a weight, by its name and codes


class Forms:
    """Encodings of the weights of a graph; the search for a scale is done once a width.

    Sums have to fit an `accumulator` of so many bits. `largest` are the largest magnitudes of sums
    that were seen, by layer; `moments` the second moments of what a weight is multiplied by, with
    which rounding below 8 bits is compensated.
    """

    def __init__(
        self, graph: Graph, per_channel: bool, accumulator: int = ACCUMULATOR_BITS
    ) -> None:
        self.graph, self.per_channel, self.accumulator = graph, per_channel, accumulator
        self.largest: Mapping[str, float] = {}
        self.moments: Mapping[str, np.ndarray] = {}
        self._contents: dict[tuple[str, Int], np.ndarray] = {}
        self._spreads: dict[tuple[str, int], np.ndarray] = {}

    def weight(self, node: Node, width: int, x: Int) -> Int:
        """The codes of `width` bits of the weight of layer `node`, to multiply codes of `x`."""
        name = node.operands[1]
        array = self.graph.constants[name].array
        if (name, width) not in self._spreads:
            self._spreads[name, width] = scales.spread(array, width, self.per_channel)
        known = self._spreads[name, width]
        bias, largest = self.bias(node), self.largest.get(node.name, np.inf)
        sums = largest, self.accumulator
        return scales.weight(array, width, self.per_channel, bias, x, known, *sums)

    def content(self, name: str, form: Int) -> np.ndarray:
        """Weight `name` on the grid of `form`, or near it where plain rounding gives that."""
        array, sums = self.graph.constants[name].array, self.moments.get(name)
        if sums is None or form.width >= 8:
            return array
        if (name, form) not in self._contents:
            from codesign.passes.quantize.moments import compensated

            found = compensated(array, sums, form.scale.array, form.low, form.high)
            sparse = self.graph.types[name].structure is not None
            self._contents[name, form] = np.where(array == 0, array, found) if sparse else found
        return self._contents[name, form]

    def bias(self, node: Node) -> np.ndarray | None:
        """The bias of layer `node`, if it has one."""
        operands = node.operands
        return self.graph.constants[operands[2]].array if len(operands) > 2 else None

    def all_of(self, width: int) -> Weights:
        """Every weight in `width` bits."""
        return lambda node, x: self.weight(node, width, x)
