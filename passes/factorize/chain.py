"""A layer written as a chain of smaller ones: made once, for pricing and for the graph."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.rewrite.context import Context, Target
from codesign.rewrite.edit import Edit
from codesign.rewrite.price import latency_ms, node_latency_ms


class Maker(Protocol):
    """Applies ops and makes constants, in a builder or an edit."""

    def add(self, op: Op, *inputs: str | None, name: str) -> str:
        """The result of `op`."""

    def constant(self, array: np.ndarray, name: str) -> str:
        """A constant."""


Chain = Callable[[Maker, str], str]


@dataclass(frozen=True)
class _InBuilder:
    builder: Builder

    def add(self, op: Op, *inputs: str | None, name: str) -> str:
        return self.builder.op(op, *inputs, name=name)

    def constant(self, array: np.ndarray, name: str) -> str:
        return self.builder.constant(array, name)


@dataclass(frozen=True)
class _InEdit:
    edit: Edit

    def add(self, op: Op, *inputs: str | None, name: str) -> str:
        return self.edit.add(op, *inputs, name=name)

    def constant(self, array: np.ndarray, name: str) -> str:
        return self.edit.constant(array, name)


def chain_latency_ms(target: Target, graph: Graph, node: Node, chain: Chain) -> float:
    """What `chain` takes on `target` on the input of `node`."""
    kind = graph.types[node.operands[0]]
    return latency_ms(target, kind, lambda builder, x: chain(_InBuilder(builder), x))


def replace_by(edit: Edit, node: Node, chain: Chain) -> None:
    """Put `chain` in the place of `node`."""
    edit.replace(node.name, chain(_InEdit(edit), node.operands[0]))


def pays(context: Context, graph: Graph, node: Node, chain: Chain, text: str, slower: bool) -> bool:
    """Whether `chain` is faster than `node` on the target; the decision is noted with `text`.

    Without a target it is taken to pay. With `slower` it may be slower.
    """
    if context.target is None:
        context.note(node.name, text)
        return True
    whole = node_latency_ms(context.target, graph, node)
    parts = chain_latency_ms(context.target, graph, node, chain)
    done = parts < whole or slower
    context.note(node.name, f"{text}; {whole:.4f} ms would be {parts:.4f} ms", done)
    return done
