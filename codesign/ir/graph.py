"""The frozen graph: ops in SSA order by stable value names, with shared read-only constants."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from codesign.ir.const import Const
from codesign.ir.op import Op
from codesign.ir.types import TensorType


@dataclass(frozen=True)
class Node:
    """One op applied to values by name; an absent optional input is None."""

    op: Op
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The node's name: that of its first result."""
        return self.outputs[0]

    @property
    def kind(self) -> str:
        """The kind of its op."""
        return self.op.kind

    @property
    def operands(self) -> tuple[str, ...]:
        """The inputs that are there."""
        return tuple(value for value in self.inputs if value is not None)


@dataclass(frozen=True)
class Graph:
    """Inputs, nodes in topological order, outputs, the type of every value, and constants.

    `output_names` are the public names of `outputs`, which passes keep. `types` holds inputs,
    constants and results. Constants are logical values; their type says how they are stored.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    nodes: tuple[Node, ...]
    types: Mapping[str, TensorType]
    constants: Mapping[str, Const]

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", MappingProxyType(dict(self.types)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that makes each result."""
        return {value: node for node in self.nodes for value in node.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, once each, in order."""
        found: dict[str, list[Node]] = {name: [] for name in self.types}
        for node in self.nodes:
            for value in dict.fromkeys(node.operands):
                found[value].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    def type(self, value: str) -> TensorType:
        """Type of `value`."""
        return self.types[value]

    def input_types(self, node: Node) -> tuple[TensorType | None, ...]:
        """Types of a node's inputs, None where absent."""
        return tuple(None if value is None else self.types[value] for value in node.inputs)

    def output_types(self, node: Node) -> tuple[TensorType, ...]:
        """Types of a node's results."""
        return tuple(self.types[value] for value in node.outputs)

    def only_use(self, value: str) -> Node | None:
        """The single node that reads `value`, or None if several do or the graph returns it."""
        readers = self.consumers[value]
        if len(readers) != 1 or value in self.outputs:
            return None
        return readers[0] if readers[0].operands.count(value) == 1 else None

    def walk(self, kind: str) -> Iterator[Node]:
        """Nodes of one kind, in order."""
        return (node for node in self.nodes if node.kind == kind)

    def with_types(self, types: Mapping[str, TensorType]) -> "Graph":
        """This graph with some values' types replaced."""
        return replace(self, types={**self.types, **types})

    def __str__(self) -> str:
        from codesign.ir.text import print_graph

        return print_graph(self)
