"""Which kernel takes each op, or why none does: answered before any long step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codesign.errors import UnsupportedModelError
from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.mapping.place import anchors, candidates, choose
from codesign.mapping.refusal import Refusal
from codesign.mapping.target import Target
from codesign.rewrite.unscheduled import without_layouts


@dataclass(frozen=True)
class Verdict:
    """One op: the kernel that takes it (None: unsupported) and the group it is fused into.

    `refusals` are those of the kernels that start with an op of its kind and do not take it.
    """

    node: str
    kind: str
    kernel: str | None
    group: str
    refusals: Mapping[str, Refusal] = field(default_factory=dict)

    @property
    def supported(self) -> bool:
        """True if a kernel takes the op."""
        return self.kernel is not None

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        refusals = {
            name: {"demand": r.demand, "bound": r.bound, "gap": r.gap, "remedy": r.remedy}
            for name, r in self.refusals.items()
        }
        return {
            "name": self.node,
            "op": self.kind,
            "kernel": self.kernel,
            "fused_into": self.group,
            "refusals": refusals,
        }


def check(program: Program, target: Target) -> list[Verdict]:
    """A verdict for every op, in order."""
    program = without_layouts(program)
    found: dict[str, Verdict] = {}
    for node in anchors(program.graph):
        if node.name in found:
            continue
        single = Group(program.graph, (node,))
        refusals = {k.name: r for k, _, r in candidates(single, target) if r is not None}
        try:
            kernel, group, _ = choose(node, program, target, set(found))
        except UnsupportedModelError:
            found[node.name] = Verdict(node.name, node.kind, None, node.name, refusals)
            continue
        for member in group.nodes:
            own = refusals if member is node else {}
            found[member.name] = Verdict(member.name, member.kind, kernel.name, group.name, own)
    return [found[node.name] for node in program.graph.nodes]
