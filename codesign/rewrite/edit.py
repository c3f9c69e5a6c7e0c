"""A list of changes to a frozen graph, and the new graph that results from them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.dtype import from_numpy
from codesign.ir.encoding import Encodings
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.types import TensorType
from codesign.ir.verify import verify_graph
from codesign.rewrite.names import inherited, renamed

_NUMBERED = re.compile(r"(.+)_\d+\Z")


class Edit:
    """Changes to `graph`, collected; `graph()` makes the new one in one pass over the nodes.

    Nodes are added without a position: a replacement stands where the replaced value stood, other
    nodes right before their first use; the rest keep their order and every value its name. Nodes
    and constants that nothing reads any more are dropped; the graph's inputs stay. What was added
    has a name of its own until `graph()`, where it takes that of the value which it replaced, or
    the one it was made with, if that is free by then: layers keep their names through all passes.

        edit = Edit(graph)
        for node in graph.walk("mul"):
            edit.replace(node.name, edit.add(Square(), node.inputs[0], name="square"))
        return edit.graph()
    """

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self._types = dict(graph.types)
        self._constants = dict(graph.constants)
        self._nodes = {node.name: node for node in graph.nodes}
        self._producers = {value: node.name for node in graph.nodes for value in node.outputs}
        self._stands_for: dict[str, str] = {}  # replaced value -> what to read instead
        self._kept: dict[str, set[str]] = {}  # added node -> replaced values that it still reads
        self._settled: set[str] = set()  # added nodes that lead to a replacement already
        self._next: dict[str, int] = {}
        self._asked: dict[str, str] = {}  # added value -> the name that it was to have
        self._heirs: dict[str, str] = {}  # value -> the added one that takes its name

    def type(self, value: str) -> TensorType:
        """Type of `value` as it stands now; VerificationError if nothing defines it."""
        if value not in self._types:
            raise VerificationError(f"%{value} is not defined in graph {self.source.name!r}")
        return self._types[value]

    def kind(self, value: str) -> str:
        """Kind of the op that makes `value` as it stands now, "" for inputs and constants."""
        return self._nodes[self._producers[value]].kind if value in self._producers else ""

    def fresh(self, name: str) -> str:
        """`name`, or the first free name that adds a number to its stem."""
        if name not in self._types:
            return name
        numbered = _NUMBERED.match(name)
        stem = numbered.group(1) if numbered else name
        number = self._next.get(stem, 0) + 1
        while f"{stem}_{number}" in self._types:
            number += 1
        self._next[stem] = number
        return f"{stem}_{number}"

    def constant(
        self, array: np.ndarray | Const, name: str = "c", encodings: Encodings = ()
    ) -> str:
        """Add a constant of logical values and return its value."""
        const = array if isinstance(array, Const) else Const.share(np.asarray(array))
        value = self.fresh(name)
        self._asked[value] = name
        self._constants[value] = const
        self._types[value] = TensorType(const.shape, from_numpy(const.array.dtype), encodings)
        return value

    def add(
        self,
        op: Op,
        *inputs: str | None,
        name: str | None = None,
        types: Sequence[TensorType] | None = None,
    ) -> str:
        """Apply `op` and return its first result (see `results`)."""
        return self.results(op, *inputs, name=name, types=types)[0]

    def results(
        self,
        op: Op,
        *inputs: str | None,
        name: str | None = None,
        types: Sequence[TensorType] | None = None,
    ) -> tuple[str, ...]:
        """Apply `op` and return all its results, `name`, `name_1`, ... (default: the op's kind).

        `types` says how the results are stored; without it they are dense. Inputs that were
        replaced are read as their replacement.
        """
        given = tuple(None if value is None else self.current(value) for value in inputs)
        inferred = op.infer(*(None if value is None else self.type(value) for value in given))
        outputs: list[str] = []
        for kind in types or inferred:
            outputs.append(self.fresh(name or op.kind))
            self._asked[outputs[-1]] = name or op.kind
            self._types[outputs[-1]] = kind
        node = Node(op, given, tuple(outputs))
        self._nodes[node.name] = node
        self._producers |= dict.fromkeys(outputs, node.name)
        self._kept[node.name] = set()
        return node.outputs

    def replace(self, old: str, new: str) -> None:
        """Let every node and output that reads `old` read `new` instead.

        Only the added nodes that lead to `new` go on reading `old`, so that `replace(v,
        add(op, v))` puts `op` behind v. Replacements chain: after (a, b) and (b, c), readers of a
        read c. VerificationError if `old` was replaced by another value or stands for `new`.
        """
        for value in (old, new):
            self.type(value)
        target = self.current(new)
        if old in self._stands_for:
            if self.current(old) != target:
                raise VerificationError(
                    f"%{old} was replaced by %{self.current(old)}; replace that instead"
                )
        elif target == old and new != old:
            raise VerificationError(f"%{new} was replaced by %{old}: replacing back is a cycle")
        elif target != old:
            self._keep(old, target)
            self._stands_for[old] = target

    def bequeath(self, old: str, new: str) -> None:
        """Let `new`, another value, have the name of `old` if nothing reads `old` in the end.

        So a layer keeps its name when what follows it is folded into it.
        """
        for value in (old, new):
            self.type(value)
        self._heirs[old] = new

    def current(self, value: str) -> str:
        """What stands for `value` now: the end of its replacements, or itself."""
        last = value
        while last in self._stands_for:
            last = self._stands_for[last]
        while value != last:  # shorten the chain that was followed
            self._stands_for[value], value = last, self._stands_for[value]
        return last

    def remove(self, node: Node | str) -> None:
        """Delete a node; by `graph()` nothing may read its results any more."""
        name = node if isinstance(node, str) else node.name
        for value in self._node(name).outputs:
            del self._producers[value]
        del self._nodes[name]

    def set_type(self, value: str, kind: TensorType) -> None:
        """Say how `value` (input, constant or result) is stored."""
        self.type(value)
        self._types[value] = kind

    def set_op(self, name: str, op: Op) -> None:
        """Give node `name` another op; results whose shape and dtype stay keep their encodings."""
        node = self._node(name)
        inferred = op.infer(*(None if v is None else self.type(v) for v in self._reads(node)))
        for value, kind in zip(node.outputs, inferred, strict=False):
            have = self._types[value]
            if (have.shape, have.dtype) != (kind.shape, kind.dtype):
                self._types[value] = kind
        self._nodes[name] = replace(node, op=op)

    def graph(self) -> Graph:
        """The changed graph, verified; the source itself if nothing changed.

        VerificationError if a removed result is still read, if replacements close a cycle, or if a
        public output changes its shape or dtype.
        """
        outputs = tuple(self.current(value) for value in self.source.outputs)
        nodes = self._ordered(outputs)
        read = {v for node in nodes for v in node.operands} | set(outputs)
        constants = {name: const for name, const in self._constants.items() if name in read}
        made = [value for node in nodes for value in node.outputs]
        types = {name: self._types[name] for name in (*self.source.inputs, *constants, *made)}
        graph = replace(
            self.source, outputs=outputs, nodes=tuple(nodes), types=types, constants=constants
        )
        replaced = [(old, self._heirs.get(old, self.current(old))) for old in self.source.types]
        if names := inherited(replaced, self._asked, types):
            graph = renamed(graph, names)
        if graph == self.source:
            return self.source
        verify_graph(graph)
        self._same_outputs(graph)
        return graph

    def _node(self, name: str) -> Node:
        if name not in self._nodes:
            raise VerificationError(f"graph {self.source.name!r} has no node %{name}")
        return self._nodes[name]

    def _keep(self, old: str, new: str) -> None:
        """Let added nodes that lead to `new` go on reading `old`.

        Each added node is expanded once over all calls, which keeps an edit linear.
        """
        left = [new]
        while left:
            name = self._producers.get(left.pop(), "")
            if name not in self._kept:
                continue
            node = self._nodes[name]
            if old in (reads := self._reads(node)):
                self._nodes[name] = node = replace(node, inputs=reads)
                self._kept[name].add(old)
            if name not in self._settled:
                self._settled.add(name)
                left.extend(node.operands)

    def _reads(self, node: Node) -> tuple[str | None, ...]:
        kept = self._kept.get(node.name, ())
        return tuple(v if v is None or v in kept else self.current(v) for v in node.inputs)

    def _anchors(self, outputs: tuple[str, ...]) -> Iterator[str]:
        """Values in the order in which they should be made."""
        for node in self.source.nodes:
            for value in node.outputs:
                yield self.current(value)
                yield value
        yield from outputs

    def _ordered(self, outputs: tuple[str, ...]) -> list[Node]:
        """The live nodes, inputs rewired, each after those that it reads."""
        live = self._live(outputs)
        done: dict[str, Node | None] = {}  # None while its operands are being placed
        for anchor in self._anchors(outputs):
            stack = [anchor]
            while stack:
                name = self._producers.get(stack[-1])
                if name is None or name not in live or done.get(name):
                    stack.pop()
                    continue
                node = live[name]
                waiting = [v for v in node.operands if not self._placed(v, live, done)]
                if not waiting:
                    done.pop(name, None)  # order of completion, not of discovery
                    done[name] = node
                elif name in done:
                    raise VerificationError(f"the replacements make %{name} depend on itself")
                else:
                    done[name] = None
                stack.extend(reversed(waiting))
        return [node for node in done.values() if node]

    def _placed(self, value: str, live: dict[str, Node], done: dict[str, Node | None]) -> bool:
        name = self._producers.get(value)
        return name is None or name not in live or bool(done.get(name))

    def _live(self, outputs: tuple[str, ...]) -> dict[str, Node]:
        """The nodes that lead to `outputs`, with their inputs rewired."""
        live: dict[str, Node] = {}
        left = list(outputs)
        while left:
            name = self._producers.get(left.pop())
            if name is None or name in live:
                continue
            node, reads = self._nodes[name], self._reads(self._nodes[name])
            live[name] = node if reads == node.inputs else replace(node, inputs=reads)
            left.extend(live[name].operands)
        return live

    def _same_outputs(self, graph: Graph) -> None:
        pairs = zip(self.source.outputs, graph.outputs, graph.output_names, strict=True)
        for old, new, name in pairs:
            was, now = self.source.types[old], graph.types[new]
            if (was.shape, was.dtype) != (now.shape, now.dtype):
                raise VerificationError(f"output {name!r} was {was} and would become {now}")
