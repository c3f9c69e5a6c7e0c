"""The codes that the layers of a graph compute with, at any width."""

from collections.abc import Callable, Mapping

import numpy as np

from codesign.ir.encoding import project
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.passes.quantize import scales
from codesign.passes.quantize.compensate import Moments, compensated

Weights = Callable[[Node, Int], Int]  # the codes of a layer's weight, given those of its input
FINE = 8  # bits beyond which rounding is not worth making up for


class Forms:
    """Encodings of the weights of a graph; the search for a scale is done once a width.

    Sums have to fit an `accumulator` of so many bits. `largest` are the largest magnitudes of sums
    that were seen, by layer; `moments` tell what weights are multiplied by, with which rounding is
    compensated and biases are corrected.
    """

    def __init__(
        self, graph: Graph, per_channel: bool, accumulator: int = ACCUMULATOR_BITS
    ) -> None:
        self.graph, self.per_channel, self.accumulator = graph, per_channel, accumulator
        self.largest: Mapping[str, float] = {}
        self.moments = Moments()
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

    def content(self, node: Node, form: Int, x: Int) -> np.ndarray:
        """The weight of `node` on the grid of `form`, or near it where plain rounding gives that.

        Sums with codes `x` that fit the accumulator with plain rounding do so with this.
        """
        name = node.operands[1]
        array, squares = self.graph.constants[name].array, self.moments.squares.get(name)
        if squares is None or form.width > FINE:
            return array
        if (name, form) not in self._contents:
            found = compensated(array, squares, form.scale.array, form.low, form.high)
            sparse = self.graph.types[name].structure is not None
            self._contents[name, form] = np.where(array == 0, array, found) if sparse else found
        found = self._contents[name, form]
        limit = float(1 << (self.accumulator - 2)) / scales.reach(x)
        room = np.maximum(limit, _sums(project((form,), array), form))
        much = (_sums(found, form) > room).reshape(-1, *[1] * (array.ndim - 1))
        return np.where(much, array, found) if much.any() else found

    def bias(self, node: Node) -> np.ndarray | None:
        """The bias of layer `node`, if it has one."""
        operands = node.operands
        return self.graph.constants[operands[2]].array if len(operands) > 2 else None

    def corrected(self, node: Node, form: Int, x: Int) -> np.ndarray | None:
        """The bias of layer `node` less what codes `form` of its weight add to the mean result.

        Bias correction on data (Nagel et al., Data-Free Quantization, ICCV 2019, section 4.2).
        """
        bias, mean = self.bias(node), self.moments.means.get(node.name)
        if bias is None or mean is None:
            return bias
        array = self.graph.constants[node.operands[1]].array
        off = project((form,), self.content(node, form, x)) - array
        rows = off.reshape(len(mean), -1, mean.shape[1]).astype(np.float64)
        found: np.ndarray = bias - np.einsum("gmk,gk->gm", rows, mean).reshape(bias.shape)
        return found.astype(bias.dtype)

    def all_of(self, width: int) -> Weights:
        """Every weight in `width` bits."""
        return lambda node, x: self.weight(node, width, x)


def _sums(array: np.ndarray, form: Int) -> np.ndarray:
    """The sum of magnitudes of codes of each output channel."""
    rows = np.abs(array).reshape(array.shape[0], -1).sum(axis=1, dtype=np.float64)
    found: np.ndarray = rows / form.scale.array.astype(np.float64)
    return found
