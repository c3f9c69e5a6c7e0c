"""Placement: the cheapest kernel that accepts each op, with element-wise chains fused behind it.

Kernels that run several layers at once compete with the best ones for these layers apart.
"""

from collections.abc import Iterator

from codesign.errors import UnsupportedModelError
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Assignment, Point, Program
from codesign.mapping.fair import Bid, cheapest, mixed
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target


def candidates(group: Group, target: Target) -> Iterator[tuple[Kernel, Group, Refusal | None]]:
    """Every kernel of `target` for the anchor that `group` is, what it would run, its refusal."""
    for kernel in target.by_anchor.get(group.anchor.kind, ()):
        wide = kernel.reach(group)
        yield kernel, wide, kernel.refuse(wide)


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
    """The kernel to run `node`, what it runs with it, and the schedule.

    A kernel for several layers is taken where it costs less than the best kernels of each.
    UnsupportedModelError if every kernel refuses.
    """
    found: Choice | None = None
    for choice in together(node, program, target, taken):
        others = apart(choice[1], target)
        if found is not None and len(found[1].nodes) >= len(choice[1].nodes):
            others = [found]
        if others is None or _cheaper([choice], others, target):
            found = choice
    return found or _alone(node, program, target, taken)


def together(node: Node, program: Program, target: Target, taken: set[str]) -> Iterator[Choice]:
    """What kernels for several layers would run that begin with `node`."""
    for kernel, wide, refusal in candidates(Group(program.graph, (node,)), target):
        if len(wide.nodes) > 1 and refusal is None and not taken & set(wide.names):
            yield _scheduled(kernel, grow(wide, kernel, taken), target)


def apart(group: Group, target: Target) -> list[Choice] | None:
    """What would run the nodes of `group` if no kernel took all of its layers together.

    None if nothing would: some run together alone.
    """
    program, done = Program(group.graph), set[str]()
    try:
        found = [_alone(group.anchor, program, target, done)]
        done |= set(found[0][1].names)
        for node in group.nodes:
            if node.name not in done:
                found.append(choose(node, program, target, done))
                done |= set(found[-1][1].names)
    except UnsupportedModelError:
        return None
    return found


def parted(group: Group, target: Target) -> dict[str, float]:
    """What kernels would take apart, in ms of the model by their names; {} for one layer."""
    if all(node.op.elementwise for node in group.chain):
        return {}
    pieces = apart(group, target)
    if pieces is None:
        return {}
    names = " + ".join(kernel.name for kernel, _, _ in pieces)
    return {names: sum(target.modelled(*piece).latency_ms for piece in pieces)}


def _scheduled(kernel: Kernel, group: Group, target: Target) -> Choice:
    """`kernel` for `group` with the schedule on record for it, else with its default."""
    record = target.known(group)
    fits = record is not None and record.kernel == kernel.name
    return kernel, group, record.point if record and fits else kernel.default(group)


def _cheaper(some: list[Choice], others: list[Choice], target: Target) -> bool:
    """Whether `some` take less time than `others`: as on record if all are, else by their models.

    What was measured of one and what a model says of the other would not compare; neither would
    models that a profile corrects and such that it does not.
    """
    costs = [[target.cost(*c) for c in choices] for choices in (some, others)]
    if any(cost.origin != "tuned" for side in costs for cost in side):
        costs = [[target.modelled(*c) for c in choices] for choices in (some, others)]
    if mixed([cost for side in costs for cost in side]):
        costs = [[k.cost(group, point) for k, group, point in side] for side in (some, others)]
    first, second = (sum(cost.latency_ms for cost in side) for side in costs)
    return first < second


def _alone(node: Node, program: Program, target: Target, taken: set[str]) -> Choice:
    """The kernel for the layer of `node` alone.

    The best that is on record, if there is any; else the kernel with the least estimated latency
    for `node` without what it fuses behind it.
    """
    single = Group(program.graph, (node,))
    bids: list[Bid[tuple[Kernel, Group]]] = []
    known: tuple[float, Choice] | None = None
    refusals = []
    for kernel, wide, refusal in candidates(single, target):
        if refusal is not None:
            refusals.append(f"{kernel.name}: {refusal}")
            continue
        if len(wide.nodes) > 1:
            continue
        group = grow(single, kernel, taken)
        record = target.known(group)
        fits = record is not None and record.kernel == kernel.name
        if record is not None and fits and (known is None or record.latency_ms < known[0]):
            known = record.latency_ms, (kernel, group, record.point)
        point = kernel.default(single)
        model = kernel.cost(single, point)
        corrected = target.correction.corrected(kernel.name, single, point, model)
        bids.append(Bid((kernel, group), model, corrected))
    if known is not None:
        return known[1]
    if not bids:
        why = "; ".join(refusals) or f"no kernel starts with {node.kind}"
        raise UnsupportedModelError(
            f"target {target.spec} cannot run {node.kind} %{node.name}: {why}"
        )
    kernel, group = cheapest(bids)
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
