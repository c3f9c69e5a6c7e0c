"""Placement: the cheapest kernel that accepts each op, with element-wise chains fused behind it."""

from collections.abc import Iterator

from codesign.errors import UnsupportedModelError
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Assignment, Point, Program
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target


def candidates(group: Group, target: Target) -> Iterator[tuple[Kernel, Refusal | None]]:
    """Every kernel of `target` for the group's anchor, with its refusal if it refuses."""
    for kernel in target.by_anchor.get(group.anchor.kind, ()):
        yield kernel, kernel.refuse(group)


def grow(group: Group, kernel: Kernel, taken: set[str]) -> Group:
    """`group` with as many of the following element-wise nodes as `kernel` accepts."""
    while True:
        last = group.nodes[-1]
        follower = group.graph.only_use(last.outputs[0]) if len(last.outputs) == 1 else None
        if follower is None or not follower.op.elementwise or follower.name in taken:
            return group
        longer = group.extended(follower)
        if kernel.refuse(longer) is not None:
            return group
        group = longer


Choice = tuple[Kernel, Group, Point]


def choose(node: Node, program: Program, target: Target, taken: set[str]) -> Choice:
    """The kernel to run `node`, what it fuses behind it, and the schedule.

    The best that is on record, if there is any; else the kernel with the least estimated latency
    for `node` alone. UnsupportedModelError if every kernel refuses.
    """
    single = Group(program.graph, (node,))
    best: tuple[float, Kernel, Group] | None = None
    known: tuple[float, Choice] | None = None
    refusals = []
    for kernel, refusal in candidates(single, target):
        if refusal is not None:
            refusals.append(f"{kernel.name}: {refusal}")
            continue
        group = grow(single, kernel, taken)
        record = target.known(group)
        fits = record is not None and record.kernel == kernel.name
        if record is not None and fits and (known is None or record.latency_ms < known[0]):
            known = record.latency_ms, (kernel, group, record.point)
        latency = target.cost(kernel, single, kernel.default(single)).latency_ms
        if best is None or latency < best[0]:
            best = latency, kernel, group
    if known is not None:
        return known[1]
    if best is None:
        why = "; ".join(refusals) or f"no kernel starts with {node.kind}"
        raise UnsupportedModelError(
            f"target {target.spec} cannot run {node.kind} %{node.name}: {why}"
        )
    kernel, group = best[1:]
    return kernel, group, kernel.default(group)


def anchors(graph: Graph) -> list[Node]:
    """The nodes in the order in which they choose kernels: element-wise ones last.

    So a residual add is fused into a layer even if its other operand has an activation.
    """
    return sorted(graph.nodes, key=lambda node: node.op.elementwise)


def place(program: Program, target: Target) -> Program:
    """`program` with every node covered, in an order in which the groups can run.

    UnsupportedModelError names the first op that no kernel takes, and why each refused it.
    """
    taken: set[str] = set()
    position = {node.name: i for i, node in enumerate(program.graph.nodes)}
    found: list[tuple[int, Assignment]] = []
    for node in anchors(program.graph):
        if node.name in taken:
            continue
        kernel, group, point = choose(node, program, target, taken)
        taken |= set(group.names)
        last = max(position[name] for name in group.names)
        found.append((last, Assignment(kernel.name, group.names, point)))
    found.sort(key=lambda item: item[0])
    return Program(program.graph, target.spec, tuple(assignment for _, assignment in found))
