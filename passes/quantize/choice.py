"""The open widths of a plan as an integer programme, and what its choices cost."""

from dataclasses import replace
from math import log10
from typing import Literal

from codesign.analysis import counts
from codesign.analysis.estimate import Estimate
from codesign.errors import RefusedError
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.quantize.offers import Price
from codesign.passes.quantize.plan import Chosen, Plan
from codesign.passes.quantize.probes import Errors
from codesign.passes.quantize.programme import Option, Programme, solve
from codesign.rewrite.context import Target
from codesign.rewrite.recorder import costs

Cost = Literal["latency", "energy", "bytes"]
UNITS: dict[Cost, str] = {"latency": "ms", "energy": "uJ", "bytes": "bytes"}
TIE = 1e-3  # of a byte


def as_programme(plan: Plan, cost: Cost, errors: Errors | None) -> Programme:
    """The choice of `plan` as numbers; without `errors` these are 0.

    What layers share counts for the first of them. Of choices of as many bytes the faster is first.
    """
    items, weights = [], set[str]()
    slowest = sum(max(p.latency_ms for p in prices.values()) for prices in plan.offers.values())
    for i, node in enumerate(plan.layers):
        root, weight = plan.root(node), node.operands[1]
        first, again = plan.readers[root][0] == i, weight in weights
        weights.add(weight)
        options = []
        for pair, price in plan.offers[node.name].items():
            asked = amount(price, cost)
            if cost == "bytes":
                asked = asked * (not again) + TIE * price.latency_ms / (slowest or 1.0)
            error = errors.alone(node.name, root if first else None, pair) if errors else 0.0
            options.append(Option(pair, asked, error))
        items.append(tuple(options))
    return Programme(tuple(items), plan.ties)


def named(plan: Plan, programme: Programme, picked: tuple[int, ...]) -> Chosen:
    """The widths by layer."""
    keys = (item[k].key for item, k in zip(programme.items, picked, strict=True))
    return {name: (key[0], key[1]) for name, key in zip(plan.offers, keys, strict=True)}


def amount(price: Price, cost: Cost) -> float:
    """The number of `price` that counts; that `energy` is known was checked."""
    if cost == "bytes":
        return float(price.bytes)
    return price.latency_ms if cost == "latency" else price.energy_uj or 0.0


def total(estimate: Estimate, cost: Cost) -> float | None:
    """What counts of `estimate`; None where it is not known."""
    return estimate.latency_ms if cost == "latency" else estimate.energy_uj


def whole_cost(graph: Graph, cost: Cost, target: Target, who: str) -> float:
    """What the whole network costs on `target`; RefusedError if it cannot run there."""
    if cost == "bytes":
        return float(counts.stored_bytes(graph))
    found = costs(Program(graph), target, timed=False)
    if found.estimate is None:
        raise RefusedError(f"{who}: the network with its widths is {found.remark}")
    value = total(found.estimate, cost)
    if value is None:
        raise no_energy(target, who)
    return value


def no_energy(target: Target, who: str) -> RefusedError:
    """Energy was asked for where there is none."""
    return RefusedError(
        f"{who}: cost is energy, but {target.spec} has no energy model for all layers; use "
        "cost=latency or cost=bytes"
    )


def with_rest(plan: Plan, target: Target, who: str) -> Plan:
    """`plan` with the widest codes, for what no layer reads, that `target` takes."""
    open_widths = as_programme(plan, "bytes", None)
    picked = solve(open_widths, "cost")
    if picked is None:
        raise RefusedError(
            f"{who}: layers that read one value, or share a weight, are offered no common width on "
            f"{target.spec}; leave some in float with skip"
        )
    chosen, remark = named(plan, open_widths, picked), ""
    widths = {a for prices in plan.offers.values() for _, a in prices}
    for width in sorted(widths, reverse=True):
        wide = replace(plan, rest=width)
        found = costs(Program(wide.build(chosen)), target, timed=False)
        if found.estimate is not None:
            return wide
        remark = found.remark
    raise RefusedError(f"{who}: the network in codes is {remark}")


def decibels(noise: float) -> float:
    """The signal-to-noise ratio in dB of `noise` over signal; at most 200."""
    return min(200.0, -10 * log10(max(noise, 1e-20)))
