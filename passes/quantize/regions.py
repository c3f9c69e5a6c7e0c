"""Which values of a graph become 8-bit, which are accumulators, and which share one encoding."""

from collections.abc import Collection
from dataclasses import dataclass, field

from codesign.analysis.steps import MONOTONE, no_steps
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.join import Pad
from codesign.ir.ops.resize import Resize
from codesign.passes.simplify import codes

ANCHORS = frozenset({"conv", "linear"})
SAME = frozenset(
    {
        "depth_to_space", "expand_dims", "flatten", "max_pool", "reshape", "slice",
        "space_to_depth", "squeeze", "transpose",
    }
)  # fmt: skip
CLAMPS = frozenset({"relu", "clip"})
MEANS = frozenset({"avg_pool", "reduce_mean"})
THROUGH = CLAMPS | MEANS | {"add", "concat"}


def refusal(graph: Graph, node: Node, any_window: bool = False) -> str:
    """Why layer `node` cannot compute on codes, "" if it can (by `any_window`, or a plain one)."""
    x, w = (graph.types[v] for v in node.operands[:2])
    constant = all(v in graph.constants for v in node.operands[1:])
    if w.integer is not None:
        return f"its weight is already stored as int{w.integer.width}"
    if not (x.dtype == w.dtype == "f32" and w.element is None and constant):
        return "its weight is no plain float constant"
    if not any_window and not codes.plain_window(graph, node):
        return "only convolutions over one or two axes, in one group or by channel, have codes"
    return ""


def moves(node: Node) -> bool:
    """True if the results are elements of the operands, or zero, so that one encoding does."""
    if isinstance(node.op, Pad):
        return node.op.mode != "constant" or (node.op.value == 0 and len(node.operands) == 1)
    if isinstance(node.op, Resize):
        return node.op.mode == "nearest"
    return node.kind in SAME


def through(node: Node) -> bool:
    """True if codes may go through `node`."""
    return moves(node) or node.kind in THROUGH


@dataclass
class Regions:
    """The plan for a graph: `codes` are values to store in 8 bits, `anchors` the integer layers.

    `accumulators` are results that stay 32-bit because the next op is fused behind them. `few` are
    the layers that add up codes of few bits already, whose results may be either.
    """

    graph: Graph
    anchors: Collection[str]
    few: Collection[str] = ()
    codes: set[str] = field(default_factory=set)
    accumulators: set[str] = field(default_factory=set)
    parent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in reversed(self.graph.nodes):
            if node.name in self.anchors or (node.kind == "encode" and self._carries(node)):
                self.codes.add(node.operands[0])
            elif node.name in self.codes and through(node):
                self.codes.update(v for v in node.operands if v not in self.graph.constants)
        for node in self.graph.nodes:
            if node.name in {*self.anchors, *self.few} and self._stays_wide(node):
                self.accumulators.add(node.name)
                self.codes.discard(node.name)
        for node in self.graph.nodes:
            self._tie(node)

    def _carries(self, node: Node) -> bool:
        """True if `node` takes few bits of a value that others read, or of a layer's in 8 bits.

        What makes thresholds of a layer's sums does not.
        """
        if not self.few:
            return False
        made = self.graph.producers.get(node.operands[0])
        if made is None or not (made.kind in THROUGH or made.name in self.anchors):
            return False
        chain = [node]
        while (before := self.graph.producers.get(chain[0].operands[0])) is not None:
            if before.name in self.few:
                return bool(no_steps(self.graph, before, chain))
            if before.kind not in MONOTONE or self.graph.only_use(before.name) is None:
                return True
            chain.insert(0, before)
        return True

    def _stays_wide(self, node: Node) -> bool:
        """True if the layer's result goes into one element-wise op that does more than clamp."""
        reader = self.graph.only_use(node.name)
        if reader is None or not reader.op.elementwise or reader.kind in CLAMPS | {"encode"}:
            return False
        if reader.kind != "add":
            return node.name not in {*self.codes, *self.few} and not reader.kind.startswith("de")
        if reader.name not in self.codes:
            return False
        others = [v for v in reader.operands if v != node.name]
        fixed = any(v in self.graph.constants for v in others)
        return not fixed and not any(v in self.accumulators for v in others)

    def _tie(self, node: Node) -> None:
        if node.name not in self.codes:
            return
        x = node.operands[0]
        if moves(node):
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
