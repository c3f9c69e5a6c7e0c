"""A group: the nodes that one kernel runs together."""

from dataclasses import dataclass
from functools import cached_property

from codesign.ir.const import Const
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType


@dataclass(frozen=True)
class Group:
    """An anchor and the chain of element-wise nodes fused behind it, in order."""

    graph: Graph
    nodes: tuple[Node, ...]

    @property
    def anchor(self) -> Node:
        """The node whose loop nest the kernel runs."""
        return self.nodes[0]

    @property
    def chain(self) -> tuple[Node, ...]:
        """The nodes fused behind the anchor."""
        return self.nodes[1:]

    @property
    def name(self) -> str:
        """The name of the group: that of its anchor."""
        return self.anchor.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its nodes."""
        return tuple(node.name for node in self.nodes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The values that the group makes: the results of its last node."""
        return self.nodes[-1].outputs

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """Values read from outside the group, constants included, once each, in order."""
        inside = {value for node in self.nodes for value in node.outputs}
        read = (value for node in self.nodes for value in node.operands)
        return tuple(dict.fromkeys(value for value in read if value not in inside))

    @property
    def variables(self) -> tuple[str, ...]:
        """The operands that are no constants."""
        return tuple(value for value in self.operands if value not in self.graph.constants)

    def type(self, value: str) -> TensorType:
        """Type of `value`."""
        return self.graph.types[value]

    def input(self, role: int) -> str | None:
        """Value of the anchor's input number `role`, None if absent."""
        inputs = self.anchor.inputs
        return inputs[role] if role < len(inputs) else None

    def input_type(self, role: int) -> TensorType | None:
        """Type of the anchor's input number `role`, None if absent."""
        value = self.input(role)
        return None if value is None else self.type(value)

    def constant(self, role: int) -> Const | None:
        """The anchor's input number `role` if it is a constant."""
        value = self.input(role)
        return None if value is None else self.graph.constants.get(value)

    @property
    def output_type(self) -> TensorType:
        """Type of the first result of the group."""
        return self.type(self.outputs[0])

    @property
    def anchor_type(self) -> TensorType:
        """Type of the anchor's first result."""
        return self.type(self.anchor.outputs[0])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all nodes."""
        total = 0
        for node in self.nodes:
            nest = node.op.loops(self.graph.input_types(node), self.graph.output_types(node))
            total += nest.macs if nest else 0
        return total

    def extended(self, node: Node) -> "Group":
        """This group with `node` fused behind it."""
        return Group(self.graph, (*self.nodes, node))
