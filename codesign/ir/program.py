"""A graph together with where and how each of its ops runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from codesign.errors import VerificationError
from codesign.ir.graph import Graph, Node
from codesign.ir.verify import verify_graph

Literal = int | float | bool | str | tuple["Literal", ...]
Point = tuple[tuple[str, Literal], ...]


@dataclass(frozen=True)
class Assignment:
    """`nodes` (fused, the anchor's chain in order) run as `kernel` with the schedule `point`."""

    kernel: str
    nodes: tuple[str, ...]
    point: Point = ()


@dataclass(frozen=True)
class Program:
    """A graph, the target it is meant for (a spec, "" if none), and its placement.

    An empty placement means not placed. A pass that changes the graph returns a program whose
    assignments all still hold; `with_graph` drops those that name nodes that are gone.
    """

    graph: Graph
    target: str = ""
    placement: tuple[Assignment, ...] = field(default=())

    @cached_property
    def assignment_of(self) -> Mapping[str, Assignment]:
        """The assignment that covers each placed node."""
        return {node: a for a in self.placement for node in a.nodes}

    def nodes_of(self, assignment: Assignment) -> tuple[Node, ...]:
        """The nodes that `assignment` covers."""
        return tuple(self.graph.by_name[name] for name in assignment.nodes)

    def with_graph(self, graph: Graph) -> "Program":
        """This program over `graph`; a changed graph is not placed any more."""
        return self if graph is self.graph else replace(self, graph=graph, placement=())

    def __str__(self) -> str:
        from codesign.ir.text import print_program

        return print_program(self)


def verify_program(program: Program) -> None:
    """Raise VerificationError unless graph and placement are consistent.

    Each placed node exists and is covered once; if anything is placed, everything is. Whether each
    kernel accepts its nodes is the target's to say (see `codesign.mapping.verify_placement`).
    """
    verify_graph(program.graph)
    seen: set[str] = set()
    for assignment in program.placement:
        for name in assignment.nodes:
            if name not in program.graph.by_name:
                raise VerificationError(f"{assignment.kernel} covers %{name}, which is no node")
            if name in seen:
                raise VerificationError(f"%{name} is covered by two kernels")
            seen.add(name)
    left = [node.name for node in program.graph.nodes if node.name not in seen]
    if program.placement and left:
        raise VerificationError(f"no kernel covers {', '.join(f'%{name}' for name in left[:5])}")
