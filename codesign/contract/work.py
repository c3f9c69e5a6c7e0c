"""Every kernel that takes a part of a graph, with a program of that part alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from codesign.ir.graph import Graph
from codesign.ir.program import Assignment, Program
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel
from codesign.mapping.place import candidates, grow
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target
from codesign.mapping.workload import extracted, signature
from codesign.tune.work import placed


@dataclass(frozen=True)
class Work:
    """A kernel and a group that it takes, with what follows the anchor fused as placing would."""

    kernel: Kernel
    group: Group

    @property
    def key(self) -> tuple[str, str]:
        """The same for the same work."""
        return self.kernel.name, signature(self.group)

    @property
    def exact(self) -> bool:
        """Whether its results are codes."""
        return all(self.group.type(v).integer is not None for v in self.group.outputs)

    def program(self, target: Target) -> Program:
        """The group in a graph of its own, run by this kernel, laid out."""
        graph = extracted(self.group)
        names = self.group.names
        own = Group(graph, tuple(graph.by_name[name] for name in names))
        choice = Assignment(self.kernel.name, names, self.kernel.default(own))
        return placed(graph, names, target, choice)


@dataclass(frozen=True)
class Refused:
    """A kernel that does not take a node, and why."""

    kernel: str
    node: str
    refusal: Refusal


def asked(graph: Graph, target: Target) -> Iterator[Work | Refused]:
    """What each kernel of `target` takes of `graph` or refuses, node by node, winner or not."""
    for node in graph.nodes:
        for kernel, wide, refusal in candidates(Group(graph, (node,)), target):
            if refusal is None:
                yield Work(kernel, grow(wide, kernel, set()))
            else:
                yield Refused(kernel.name, node.name, refusal)
