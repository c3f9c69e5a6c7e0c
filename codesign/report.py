"""What report.json says about a compile: the ledger, each layer, the totals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.ir.program import Assignment, Program
from codesign.mapping.group import Group
from codesign.mapping.place import parted
from codesign.mapping.target import Target
from codesign.rewrite.ledger import Ledger

FALLBACK = "fallback"  # the kernel that takes what no kernel of the target's own takes


def make_report(
    program: Program, target: Target, ledger: Ledger, measured: Estimate | None
) -> dict[str, Any]:
    """Layers in execution order, each with prediction, measurement, alternatives and notes."""
    estimate = target.estimate(program)
    timed: Sequence[LayerCost | None] = (
        measured.layers if measured else [None] * len(estimate.layers)
    )
    layers = [
        _layer(program, target, ledger, assignment, cost, time)
        for assignment, cost, time in zip(program.placement, estimate.layers, timed, strict=True)
    ]
    total = {**estimate.json()["total"], "measured_ms": measured.latency_ms if measured else None}
    return {
        "name": program.graph.name,
        "target": target.spec,
        "total": total,
        "fallbacks": [layer["name"] for layer in layers if layer["kernel"] == FALLBACK],
        "ledger": ledger.json(),
        "layers": layers,
    }


def _layer(
    program: Program,
    target: Target,
    ledger: Ledger,
    assignment: Assignment,
    cost: LayerCost,
    measured: LayerCost | None,
) -> dict[str, Any]:
    group = Group(program.graph, program.nodes_of(assignment))
    notes = [
        {"pass": step, "text": note.text, "done": note.done}
        for name in (*group.names, *group.operands)
        for step, note in ledger.notes(name)
    ]
    others = alternatives(group, target, assignment.kernel)
    return {
        **cost.json(),
        "nodes": list(group.names),
        "schedule": dict(assignment.point),
        "shape": list(group.output_type.shape),
        "measured_ms": measured.latency_ms if measured else None,
        "alternatives": others,
        "next_best": next_best(others),
        "notes": notes,
    }


def next_best(others: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The name of the fastest kernel by prediction among `alternatives`, None if all refuse."""
    taking = {name: other["latency_ms"] for name, other in others.items() if "latency_ms" in other}
    return min(taking, key=lambda name: taking[name], default=None)


def alternatives(group: Group, target: Target, chosen: str) -> dict[str, Any]:
    """For each other kernel with the group's anchor: `latency_ms` by the model, or why not.

    For several layers in one kernel also the kernels that would run them apart, as one entry.
    """
    found: dict[str, Any] = {k: {"latency_ms": ms} for k, ms in parted(group, target).items()}
    for kernel in target.by_anchor.get(group.anchor.kind, ()):
        if kernel.name == chosen:
            continue
        refusal = kernel.refuse(group)
        if refusal is not None:
            found[kernel.name] = {"refusal": asdict(refusal)}
        else:
            latency = target.modelled(kernel, group, kernel.default(group)).latency_ms
            found[kernel.name] = {"latency_ms": latency}
    return found
