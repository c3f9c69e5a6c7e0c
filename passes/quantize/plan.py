"""A network whose layers' widths are open, and the network that a choice of them makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph, Node
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.offers import Offers, Pair
from codesign.passes.quantize.programme import Tie
from codesign.passes.quantize.regions import Regions
from codesign.passes.quantize.retype import rewrite
from codesign.passes.quantize.spans import Spans
from codesign.passes.simplify import codes

Chosen = Mapping[str, Pair]  # by layer


@dataclass(frozen=True)
class Plan:
    """The layers in `offers`, and the `regions` of values that become codes with them.

    Values that no layer reads (terms of a sum, what an average takes) have `rest` bits.
    """

    graph: Graph
    offers: Offers
    regions: Regions
    forms: Forms
    spans: Spans
    reach: codes.Reach
    rest: int

    @property
    def layers(self) -> list[Node]:
        """The layers, in order."""
        return [self.graph.by_name[name] for name in self.offers]

    def root(self, node: Node) -> str:
        """The class of values that layer `node` reads."""
        return self.regions.root(node.operands[0])

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """The values that share an encoding, by their root."""
        found: dict[str, list[str]] = {}
        for value in sorted(self.regions.codes):
            found.setdefault(self.regions.root(value), []).append(value)
        return {root: tuple(values) for root, values in found.items()}

    @cached_property
    def readers(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of the layers that read each class that a layer reads."""
        return _grouped([self.root(node) for node in self.layers])

    @cached_property
    def ties(self) -> tuple[Tie, ...]:
        """Layers that must agree: on activations of one class, on one weight that they share."""
        weights = _grouped([node.operands[1] for node in self.layers])
        parts = ((0, weights), (1, self.readers))
        return tuple(
            Tie(items, part)
            for part, groups in parts
            for items in groups.values()
            if len(items) > 1
        )

    @cached_property
    def weight_widths(self) -> list[tuple[str, int]]:
        """Each layer with each width that its weight may have."""
        return [(n, w) for n, prices in self.offers.items() for w in sorted({w for w, _ in prices})]

    @cached_property
    def value_widths(self) -> list[tuple[str, int]]:
        """Each class that layers read with each width that it may have."""
        offered = list(self.offers.values())
        return [
            (root, a)
            for root, items in self.readers.items()
            for a in sorted({a for i in items for _, a in offered[i]})
        ]

    def alone(self, node: Node, width: int) -> tuple[Int, Int]:
        """Codes of the weight of `node`, and those of its inputs of the most bits beside them."""
        widest = max(a for w, a in self.offers[node.name] if w == width)
        x = self.spans.form(self.root(node), widest)
        return self.forms.weight(node, width, x), x

    def coded(self, root: str, width: int) -> dict[str, Int]:
        """The encoding of each value of class `root` at `width` bits."""
        return dict.fromkeys(self.members[root], self.spans.form(root, width))

    def build(self, chosen: Chosen) -> Graph:
        """The graph with every layer at its chosen widths."""
        widths = dict.fromkeys(self.spans.histograms, self.rest)
        widths |= {self.root(node): chosen[node.name][1] for node in self.layers}
        encodings = self.spans.forms(self.regions, widths)

        def weights(node: Node, x: Int) -> Int:
            return self.forms.weight(node, chosen[node.name][0], x)

        made = rewrite(self.graph, self.regions, encodings, self.forms, weights)
        return codes.unify(made, self.reach)

    def uniform(self, width: int) -> Chosen | None:
        """Weights and activations of every layer at `width` bits, None if one is not offered so."""
        pair = width, width
        if not all(pair in prices for prices in self.offers.values()):
            return None
        return dict.fromkeys(self.offers, pair)


def _grouped(keys: list[str]) -> dict[str, tuple[int, ...]]:
    """The positions of each key."""
    found: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return {key: tuple(items) for key, items in found.items()}
