"""A graph in stages: what one engine, or a few in a row, compute on codes.

A stage is a layer with the chains behind it that end in codes, a pool or mean of codes, a sum of
two coded maps, a chain of element-wise ops on codes, or an op that only changes the shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codesign.analysis.codes import addable, sum_scale, sums_codes
from codesign.analysis.steps import MONOTONE, no_steps
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.pool import MaxPool, Pool
from codesign.mapping.refusal import Refusal
from codesign.targets.xnor.pulled import pulled

Kind = Literal["layer", "pool", "mean", "add", "table", "wire"]
LAYERS = frozenset({"conv", "linear"})
MULTIPLY = LAYERS | {"matmul", "einsum", "conv_transpose", "rnn", "lstm", "gru"}
WIRES = frozenset({"flatten", "reshape", "squeeze", "expand_dims"})
CHAIN = MONOTONE | {"sigmoid", "tanh", "hardtanh", "leaky_relu", "sign", "abs"}
MOST_BITS = 8
CODES = "give layers and what is between them codes (binarize, quantize-int8 or assign-bits)"


@dataclass(frozen=True)
class Head:
    """A coded value at the end of a chain of nodes."""

    value: str
    chain: tuple[Node, ...]


@dataclass(frozen=True)
class Stage:
    """Nodes that run as one; the first is the anchor.

    `heads` are the coded values that leave, `sums` says that a layer's sums leave too, `pool` a
    pool of floats in the chain, which is done on codes instead: where `turned`, by the smallest
    code of channels whose codes fall, as what may turn the order stands behind the pool.
    """

    kind: Kind
    nodes: tuple[Node, ...]
    heads: tuple[Head, ...] = ()
    sums: bool = False
    pool: Node | None = None
    turned: bool = False

    @property
    def anchor(self) -> Node:
        """Its first node."""
        return self.nodes[0]

    @property
    def values(self) -> tuple[str, ...]:
        """The values that leave its engines, a layer's sums by the layer's name at the end."""
        coded = tuple(head.value for head in self.heads)
        return (*coded, self.anchor.name) if self.sums else coded


def stages(graph: Graph) -> Mapping[str, Stage | Refusal]:
    """The stage of each node, or why it is in none; a graph is frozen, so it is asked once."""
    found: Mapping[str, Stage | Refusal] | None = graph.__dict__.get("_xnor_stages")
    if found is None:
        found = _stages(graph)
        graph.__dict__["_xnor_stages"] = found
    return found


def _stages(graph: Graph) -> Mapping[str, Stage | Refusal]:
    found: dict[str, Stage | Refusal] = {}
    for node in graph.nodes:
        if node.name in found:
            continue
        made = _of(graph, node)
        found[node.name] = made
        if isinstance(made, Stage):
            found.update((member.name, made) for member in made.nodes)
    return found


def _of(graph: Graph, node: Node) -> Stage | Refusal:
    """The stage that begins with `node`."""
    if any(0 in graph.types[v].shape for v in (*node.operands, *node.outputs)):
        return Refusal(
            f"{node.kind} %{node.name} has a map of no elements",
            "an engine streams at least one element",
            "give the model inputs that have elements, at least one sample at a time",
        )
    if node.kind in LAYERS:
        return _layer(graph, node)
    if node.kind in MULTIPLY:
        return Refusal(f"{node.kind} %{node.name}", "engines multiply in conv and linear alone")
    if node.kind == "add" and not any(v in graph.constants for v in node.operands):
        return _add(graph, node)
    if node.kind in ("max_pool", "avg_pool", "reduce_mean"):
        return _pool(graph, node)
    if node.kind in WIRES:
        return _wire(graph, node)
    return _table(graph, node)


def _layer(graph: Graph, node: Node) -> Stage | Refusal:
    if not sums_codes(node, graph.types):
        return Refusal(
            f"{node.kind} %{node.name} does not add up products of codes",
            "an engine multiplies codes, inputs of one scale by weights of one or one a channel",
            CODES,
        )
    reason = _shape_of(graph, node)
    if reason is not None:
        return reason
    heads = _Heads(graph, node)
    if _few(graph, node.name):
        heads.end(node.name, ())
    else:
        heads.walk(node.name, (), None)
    return heads.stage()


def _few(graph: Graph, value: str) -> bool:
    """Whether `value` has codes of so few bits that engines make them: others are sums."""
    form = graph.types[value].grid
    return form is not None and form.code_bits <= MOST_BITS


def leaves_sums(graph: Graph, value: str) -> bool:
    """Whether the codes of `value` are a layer's sums, its coded bias added."""
    form, layer = graph.types[value].integer, graph.producers.get(value)
    if form is None or form.width != ACCUMULATOR_BITS or layer is None or layer.kind not in LAYERS:
        return False
    return sums_codes(layer, graph.types) and np.array_equal(
        form.scale.array, sum_scale(layer, graph.types)
    )


def _shape_of(graph: Graph, node: Node) -> Refusal | None:
    """What of a layer no engine takes."""
    x, w = (graph.types[v] for v in node.operands[:2])
    if node.operands[1] not in graph.constants:
        return Refusal(f"weights %{node.operands[1]} are computed", "engines keep weights on chip")
    for role, kind in (("inputs", x), ("weights", w)):
        assert kind.grid is not None
        if kind.grid.code_bits > MOST_BITS:
            return Refusal(
                f"{role} of {kind.grid.code_bits} bits",
                f"engines take at most {MOST_BITS}",
                gap=f"{kind.grid.code_bits - MOST_BITS} bits too many",
                remedy=f"assign at most {MOST_BITS} bits to them",
            )
    op = node.op
    if isinstance(op, Conv) and (len(op.strides) > 2 or op.groups > 1):
        demand = f"{op.groups} groups" if op.groups > 1 else f"{len(op.strides)} spatial axes"
        return Refusal(
            f"conv %{node.name} has {demand}",
            "an engine takes every channel of one or two spatial axes",
            "use dense convolutions of images",
        )
    return None


class _Heads:
    """The chains behind a layer, followed until they are codes."""

    def __init__(self, graph: Graph, layer: Node) -> None:
        self.graph, self.layer = graph, layer
        self.heads: list[Head] = []
        self.members: dict[str, Node] = {layer.name: layer}
        self.outside = False
        self.pool: Node | None = None
        self.turned, self.before = False, 0

    def walk(self, value: str, chain: tuple[Node, ...], pool: Node | None) -> bool:
        """Follow `value` to codes; whether any were found."""
        self.outside |= value in self.graph.outputs
        found = False
        for reader in self.graph.consumers[value]:
            longer = (*chain, reader)
            taken = pool
            if pool is None and _whole_pool(self.graph, reader, value):
                longer, taken, self.before = chain, reader, len(chain)
            elif reader.kind not in MONOTONE or self._strange(reader, value):
                self.outside = True
                continue
            if _few(self.graph, reader.name) and longer:
                good = self.end(reader.name, longer, taken)
            else:
                good = self.walk(reader.name, longer, taken)
            if good:
                self.members[reader.name] = reader
                found = True
            else:
                self.outside = True
        return found

    def _strange(self, reader: Node, value: str) -> bool:
        others = [v for v in reader.operands if v != value]
        return reader.operands.count(value) != 1 or any(
            v not in self.graph.constants for v in others
        )

    def end(self, value: str, chain: tuple[Node, ...], pool: Node | None = None) -> bool:
        """Whether `value` is a head, which is then kept."""
        graph = self.graph if pool is None else pulled(self.graph, pool)
        plain = tuple(graph.by_name[node.name] for node in chain)
        form = self.graph.types[value].grid
        if form is None or form.code_bits > MOST_BITS or no_steps(graph, self.layer, plain):
            return False
        if self.pool is not pool and self.heads:
            return False
        if pool is not None:
            front, back = chain[: self.before], chain[self.before :]
            self.turned = not _rising(back)
            if self.turned and not _rising(front):
                return False
        self.heads.append(Head(value, plain))
        self.pool = pool
        return True

    def stage(self) -> Stage | Refusal:
        name = self.layer.name
        sums = (self.outside or not self.heads) and not (self.heads and _few(self.graph, name))
        if self.pool is not None and (sums or len(self.heads) > 1):
            return Stage("layer", (self.layer,), (), True)
        coded = self.graph.types[name].grid is not None
        if sums and coded and not leaves_sums(self.graph, name):
            reason = no_steps(self.graph, self.layer, ()) or "too many levels"
            return Refusal(reason, "codes of an engine are steps of its sums", CODES)
        order = {n.name: i for i, n in enumerate(self.graph.nodes)}
        nodes = tuple(sorted(self.members.values(), key=lambda n: order[n.name]))
        return Stage("layer", nodes, tuple(self.heads), sums, self.pool, self.turned)


def _rising(chain: tuple[Node, ...]) -> bool:
    """Whether no op of `chain` can turn an order round."""
    return all(node.kind in ("relu", "clip", "encode", "decode") for node in chain)


def _whole_pool(graph: Graph, node: Node, value: str) -> bool:
    """Whether `node` is a maximum of windows of `value`, a map of floats that only it reads."""
    op = node.op
    alone = graph.only_use(value) is node and graph.types[value].grid is None
    return alone and isinstance(op, MaxPool) and not op.indices and len(op.kernel) <= 2


def _coded(graph: Graph, value: str) -> Grid | None:
    """The encoding of a variable of few bits with one scale."""
    form = graph.types[value].grid
    if value in graph.constants or form is None or form.axis is not None:
        return None
    return form if form.code_bits <= MOST_BITS else None


def _not_coded(graph: Graph, node: Node) -> Refusal:
    floats = [v for v in (*node.operands, node.name) if _coded(graph, v) is None]
    return Refusal(
        f"{node.kind} %{node.name} has {', '.join('%' + v for v in floats)} in float or in codes "
        f"of several scales or over {MOST_BITS} bits",
        "engines compute on codes alone",
        CODES,
    )


def _add(graph: Graph, node: Node) -> Stage | Refusal:
    out = _coded(graph, node.name)
    ints = [f for v in node.operands if (f := _addend(graph, v)) is not None]
    if not isinstance(out, Int) or len(ints) < len(node.operands):
        return _not_coded(graph, node)
    if len({graph.types[v].shape for v in node.operands}) > 1 or not addable(ints, out):
        return Refusal(f"add %{node.name} broadcasts", "an engine adds maps of one shape")
    return Stage("add", (node,), (Head(node.name, (node,)),))


def _addend(graph: Graph, value: str) -> Int | None:
    """The encoding of codes, or of sums, that an engine adds."""
    form = _coded(graph, value)
    if form is None and leaves_sums(graph, value):
        return graph.types[value].integer
    return form if isinstance(form, Int) else None


def _pool(graph: Graph, node: Node) -> Stage | Refusal:
    x, out = _coded(graph, node.operands[0]), _coded(graph, node.name)
    if x is None or out is None:
        return _not_coded(graph, node)
    rank, op = graph.types[node.name].rank, node.op
    if isinstance(op, MaxPool):
        if op.indices or len(op.kernel) > 2 or x != out:
            return Refusal(
                f"max_pool %{node.name} gives positions, another encoding or has three axes",
                "an engine takes the largest code of a window of an image",
            )
        return Stage("pool", (node,), (Head(node.name, (node,)),))
    source = graph.types[node.operands[0]]
    spatial = tuple(range(2, source.rank))
    whole = (
        op.kernel == source.shape[2:] and not any(map(any, op.pads))
        if isinstance(op, Pool)
        else getattr(op, "axes", ()) == spatial
    )
    if not whole or not isinstance(x, Int) or not isinstance(out, Int) or source.rank not in (3, 4):
        return Refusal(
            f"{node.kind} %{node.name} of {source} to {graph.types[node.name]}, rank {rank}",
            "an engine takes means of whole maps in integer codes",
            "use one global pool",
        )
    return Stage("mean", (node,), (Head(node.name, (node,)),))


def _wire(graph: Graph, node: Node) -> Stage | Refusal:
    x, out = _coded(graph, node.operands[0]), _coded(graph, node.name)
    if x is None or out is None:
        return _not_coded(graph, node)
    before, after = graph.types[node.operands[0]].shape, graph.types[node.name].shape
    ones = [tuple(e for e in shape[1:] if e != 1) for shape in (before, after)]
    flat = len(after) == 2
    if x != out or before[0] != after[0] or not (flat or ones[0] == ones[1]):
        return Refusal(
            f"{node.kind} %{node.name} of {list(before)} to {list(after)}",
            "streams keep the order of their elements: a map is flattened, or stays as it is",
        )
    return Stage("wire", (node,), (Head(node.name, (node,)),))


def _table(graph: Graph, node: Node) -> Stage | Refusal:
    """A chain of element-wise ops from codes to codes."""
    variables = [v for v in node.operands if v not in graph.constants]
    if len(variables) != 1 or _coded(graph, variables[0]) is None or not _steps(graph, node):
        if node.kind in CHAIN or node.op.elementwise:
            return _not_coded(graph, node)
        return Refusal(f"{node.kind} %{node.name}", "there is no engine for it")
    members: dict[str, Node] = {}
    heads: list[Head] = []
    if not _follow(graph, node, (), members, heads):
        return Refusal(
            f"what follows {node.kind} %{node.name} is no chain of element-wise ops up to codes of "
            f"at most {MOST_BITS} bits",
            "an engine looks codes up by codes",
            CODES,
        )
    order = {n.name: i for i, n in enumerate(graph.nodes)}
    nodes = tuple(sorted(members.values(), key=lambda n: order[n.name]))
    return Stage("table", nodes, tuple(heads))


def _follow(
    graph: Graph, node: Node, chain: tuple[Node, ...], members: dict[str, Node], heads: list[Head]
) -> bool:
    """Whether every way from `node` on ends in codes."""
    if not _steps(graph, node) or (chain and _variable(graph, node) != chain[-1].name):
        return False
    members[node.name] = node
    chain = (*chain, node)
    if graph.types[node.name].grid is not None:
        heads.append(Head(node.name, chain))
        return _coded(graph, node.name) is not None
    readers = graph.consumers[node.name]
    if not readers or node.name in graph.outputs:
        return False
    return all(_follow(graph, reader, chain, members, heads) for reader in readers)


def _variable(graph: Graph, node: Node) -> str | None:
    found = [v for v in node.operands if v not in graph.constants]
    return found[0] if len(found) == 1 else None


def _steps(graph: Graph, node: Node) -> bool:
    """Whether `node` is element-wise on a variable, its constants the same all over a channel."""
    if not (node.op.elementwise or node.kind == "batch_norm"):
        return False
    value = _variable(graph, node)
    if value is None or graph.types[value].shape != graph.types[node.name].shape:
        return False
    rank = graph.types[value].rank
    channel = 1 if rank in (2, 4) else -1  # of three axes either may be the channels
    for operand in node.operands:
        if operand == value or (node.kind == "batch_norm" and channel == 1):
            continue
        shape = graph.types[operand].shape
        lost = rank - len(shape)
        if any(e != 1 and axis + lost != channel for axis, e in enumerate(shape)):
            return False
    return True
