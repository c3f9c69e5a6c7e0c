"""Nodes of a chain whose values are stored as integers."""

from codesign.errors import RefusedError
from codesign.ir.graph import Node
from codesign.targets.tvm.chain import Chain, Value


def lower_integer(chain: Chain, node: Node, inputs: list[Value]) -> Value:
    """The codes of `node`'s result."""
    raise RefusedError(f"{node.kind} %{node.name} on integers has no kernel")
