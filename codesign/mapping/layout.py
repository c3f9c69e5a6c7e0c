"""Blocked layouts over the graph with the fewest bytes converted: a minimum cut.

Every value is either plain or in the target's blocked layout for its type. Kernels that need one of
them pin their values to a side of the cut; agnostic kernels tie theirs together; each value that
lies on both sides is converted once, at the price of its bytes (Ford and Fulkerson, 1956).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codesign.ir.encodings.tiled import Tiled
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Relayout
from codesign.ir.program import Assignment, Program
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.target import Target

PLAIN, BLOCKED = "plain", "blocked"
Demand = Mapping[str, Tiled | None]


def choose_layouts(program: Program, target: Target) -> Program:
    """`program` with layouts on its types and relayout nodes, placed, where sides meet."""
    groups = [Group(program.graph, program.nodes_of(a)) for a in program.placement]
    sides = _cut(program, target, groups)
    return _Rewriter(program, target, sides).run(groups)


def _cut(program: Program, target: Target, groups: list[Group]) -> set[str]:
    """The agnostic groups that run on blocked values."""
    import networkx as nx

    makers = {v: g for g in groups for v in g.outputs}
    demands = {
        g.name: target.by_name[a.kernel].layouts(g)
        for g, a in zip(groups, program.placement, strict=True)
    }

    def port(group: Group | None, value: str) -> str:
        if group is None:
            return PLAIN
        demand = demands[group.name]
        if demand is None:
            return f"group {group.name}" if target.tied(group, value) else PLAIN
        return BLOCKED if demand.get(value) is not None else PLAIN

    readers: dict[str, set[str]] = {v: {PLAIN} for v in program.graph.outputs}
    for group in groups:
        for value in group.variables:
            readers.setdefault(value, set()).add(port(group, value))
    flow = nx.DiGraph()
    flow.add_nodes_from((PLAIN, BLOCKED))
    for value, ports in readers.items():
        _connect(
            flow, value, port(makers.get(value), value), ports, program.graph.types[value].bits
        )
    _, (_, blocked) = nx.minimum_cut(flow, PLAIN, BLOCKED)
    return {name.removeprefix("group ") for name in blocked if name.startswith("group ")}


def _connect(flow: Any, value: str, maker: str, readers: set[str], bits: int) -> None:
    """A cut between `maker` and any number of `readers` of a value costs `bits` once.

    An edge counts if it leads from the plain side to the blocked one; without a capacity it is
    never cut. So any blocked reader draws `out` to its side, any plain one `back`.
    """
    others = readers - {maker}
    if not others:
        return
    out, back = f"out {value}", f"back {value}"
    flow.add_edge(maker, out, capacity=bits)
    flow.add_edge(back, maker, capacity=bits)
    for reader in others:
        flow.add_edge(out, reader)
        flow.add_edge(reader, back)


class _Rewriter:
    """Applies the cut: retypes values and inserts relayout nodes before their first use."""

    def __init__(self, program: Program, target: Target, blocked: set[str]) -> None:
        self.program, self.target, self.blocked = program, target, blocked
        self.types: dict[str, TensorType] = dict(program.graph.types)
        self.placement: list[Assignment] = []
        self.nodes: list[Node] = []
        self.converted: dict[tuple[str, Tiled | None], str] = {}

    def demand(self, group: Group, kernel: str) -> Demand:
        """The layout of every variable and result of `group`, and of values inside if named."""
        fixed = self.target.by_name[kernel].layouts(group)
        values = [*group.variables, *(v for node in group.nodes for v in node.outputs)]
        if fixed is not None:
            return {v: fixed.get(v) for v in values if v in fixed or v in group.outputs}
        blocked, values = group.name in self.blocked, [*group.variables, *group.outputs]
        return {
            v: self.target.tile(group.type(v)) if blocked and self.target.tied(group, v) else None
            for v in values
        }

    def converted_value(self, value: str, layout: Tiled | None) -> str:
        """A value equal to `value` in `layout`, through a relayout node if it must."""
        have = self.types[value].layout
        if have == layout:
            return value
        key = (value, layout)
        if key not in self.converted:
            name = f"{value}.{'plain' if layout is None else 'blocked'}"
            while name in self.types:
                name += "_"
            base = self.types[value].without("layout")
            self.types[name] = base if layout is None else base.with_encoding(layout)
            node = Node(Relayout(), (value,), (name,))
            self.nodes.append(node)
            kernel, _ = self.relayout_kernel(node)
            self.placement.append(Assignment(kernel, (name,)))
            self.converted[key] = name
        return self.converted[key]

    def relayout_kernel(self, node: Node) -> tuple[str, Graph]:
        """The kernel that runs relayout `node`."""
        graph = replace(self.program.graph, nodes=(node,), types=self.types)
        kernel = next(
            k for k in self.target.by_anchor["relayout"] if k.refuse(Group(graph, (node,))) is None
        )
        return kernel.name, graph

    def run(self, groups: list[Group]) -> Program:
        """The rewritten program."""
        for group, assignment in zip(groups, self.program.placement, strict=True):
            demand = self.demand(group, assignment.kernel)
            renamed = {
                v: self.converted_value(v, demand[v]) for v in group.variables if v in demand
            }
            for node in group.nodes:
                inputs = tuple(None if v is None else renamed.get(v, v) for v in node.inputs)
                self.nodes.append(replace(node, inputs=inputs))
                for value in node.outputs:
                    layout = demand[group.outputs[0]] if value not in demand else demand[value]
                    inside = value not in group.outputs
                    layout = None if inside and layout is not None and layout.packed else layout
                    self.types[value] = _with_layout(self.types[value], layout)
            self.placement.append(assignment)
        outputs = tuple(self.converted_value(v, None) for v in self.program.graph.outputs)
        graph = replace(
            self.program.graph, nodes=tuple(self.nodes), types=self.types, outputs=outputs
        )
        return replace(self.program, graph=graph, placement=tuple(self.placement))


def _with_layout(kind: TensorType, layout: Tiled | None) -> TensorType:
    return kind.without("layout") if layout is None else kind.with_encoding(layout)
