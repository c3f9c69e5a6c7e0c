"""Which values of a graph become 8-bit, which are accumulators, and which share one encoding."""

from collections.abc import Collection
from dataclasses import dataclass, field

from codesign.ir.graph import Graph, Node

ANCHORS = frozenset({"conv", "linear"})
SAME = frozenset({"max_pool", "reshape", "flatten", "squeeze", "expand_dims", "transpose", "slice"})
CLAMPS = frozenset({"relu", "clip"})
MEANS = frozenset({"avg_pool", "reduce_mean"})
THROUGH = SAME | CLAMPS | MEANS | {"add", "concat"}


def quantizable(graph: Graph, node: Node) -> bool:
    """True if `node` is a layer with constant float weights and a float32 operand."""
    if node.kind not in ANCHORS or node.operands[1] not in graph.constants:
        return False
    x, w = graph.types[node.operands[0]], graph.types[node.operands[1]]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    constant_bias = bias is None or bias in graph.constants
    return x.dtype == w.dtype == "f32" and w.element is None and constant_bias


@dataclass
class Regions:
    """The plan for a graph: `codes` are values to store in 8 bits, `anchors` the integer layers.

    `accumulators` are results that stay 32-bit because the next op is fused behind them.
    """

    graph: Graph
    anchors: Collection[str]
    codes: set[str] = field(default_factory=set)
    accumulators: set[str] = field(default_factory=set)
    parent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in reversed(self.graph.nodes):
            if node.name in self.anchors:
                self.codes.add(node.operands[0])
            elif node.name in self.codes and node.kind in THROUGH:
                self.codes.update(v for v in node.operands if v not in self.graph.constants)
        for node in self.graph.nodes:
            if node.name in self.anchors and self._stays_wide(node):
                self.accumulators.add(node.name)
                self.codes.discard(node.name)
        for node in self.graph.nodes:
            self._tie(node)

    def _stays_wide(self, node: Node) -> bool:
        """True if the layer's result goes into one element-wise op that does more than clamp."""
        reader = self.graph.only_use(node.name)
        if reader is None or not reader.op.elementwise or reader.kind in CLAMPS | {"encode"}:
            return False
        if reader.kind != "add":
            return node.name not in self.codes and not reader.kind.startswith("de")
        if reader.name not in self.codes:
            return False
        others = [v for v in reader.operands if v != node.name]
        fixed = any(v in self.graph.constants for v in others)
        return not fixed and not any(v in self.accumulators for v in others)

    def _tie(self, node: Node) -> None:
        if node.name not in self.codes:
            return
        x = node.operands[0]
        if node.kind in SAME:
            self._union(x, node.name)
        elif node.kind == "concat":
            for value in node.operands:
                self._union(value, node.name)
        elif node.kind in CLAMPS and x in self.codes and self.graph.only_use(x) is node:
            self._union(x, node.name)

    def root(self, value: str) -> str:
        """The representative of the values that share an encoding with `value`."""
        while value in self.parent:
            value = self.parent[value]
        return value

    def _union(self, a: str, b: str) -> None:
        if a in self.codes and b in self.codes and self.root(a) != self.root(b):
            self.parent[self.root(a)] = self.root(b)

    def classes(self) -> dict[str, list[str]]:
        """Values by representative; what is clamped right after does not count for the range."""
        found: dict[str, list[str]] = {}
        for value in sorted(self.codes):
            members = found.setdefault(self.root(value), [])
            reader = self.graph.only_use(value)
            clamped = reader is not None and reader.kind in CLAMPS and reader.name in self.codes
            if not clamped:
                members.append(value)
        return found
