"""What zeros of weights buy on a target: time, energy, or nothing but less to store."""

from collections.abc import Mapping

from codesign.analysis.counts import stored_bytes
from codesign.analysis.estimate import Estimate, LayerCost
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.recorder import costs
from codesign.rewrite.zeros import seeing

NEAR = 1 - 1e-6  # a gain is more than rounding


def tell(done: Mapping[str, str], before: Graph, after: Graph, context: Context) -> None:
    """Note what was `done` to each layer between two graphs, and what it buys on the target.

    Where the whole gains neither time nor energy, the ledger's row says so.
    """
    pair = _estimates(before, after, context) if done else None
    for name, text in done.items():
        context.note(name, text if pair is None else text + _of_layer(name, *pair))
    if pair is None:
        return
    assert context.target is not None
    one, two = pair
    text = f"{one.latency_ms:.4g} ms become {two.latency_ms:.4g} ms on {context.target.spec}"
    if one.energy_uj is not None and two.energy_uj is not None:
        text += f", {one.energy_uj:.4g} uJ become {two.energy_uj:.4g} uJ"
    if not _gains(one, two):
        text += (
            f": there zeros only take less to store ({stored_bytes(before):,} bytes become "
            f"{stored_bytes(after):,})"
        )
        context.remark(text)
    context.note(after.output_names[0], text)


def _estimates(before: Graph, after: Graph, context: Context) -> tuple[Estimate, Estimate] | None:
    """What both cost on the target, with the same zeros of feature maps; None if unknown."""
    if context.target is None:
        return None
    target = seeing(context.target, before, context)
    one, two = (costs(Program(g), target, timed=False).estimate for g in (before, after))
    return None if one is None or two is None else (one, two)


def _of_layer(name: str, before: Estimate, after: Estimate) -> str:
    """What to add of the layer `name`, if it gains nothing."""
    pair = [{cost.name: cost for cost in found.layers}.get(name) for found in (before, after)]
    one, two = pair
    if one is None or two is None or _gains(one, two):
        return ""
    energy = "" if one.energy_uj is None else " nor energy"
    return f", which saves no time{energy} on this target"


def _gains(before: Estimate | LayerCost, after: Estimate | LayerCost) -> bool:
    """Whether anything takes less than before."""
    faster = after.latency_ms < before.latency_ms * NEAR
    if before.energy_uj is None or after.energy_uj is None:
        return faster
    return faster or after.energy_uj < before.energy_uj * NEAR
