"""Comparing kernels by what can be compared: corrected costs with such, models with models.

What a device was seen to take of one kernel and what a model alone says of another may both be
right within their errors, but a model that is off everywhere would then choose what was not
measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from codesign.analysis.estimate import LayerCost

Thing = TypeVar("Thing")
CLOSE = 3.0  # a kernel whose model says so many times the least is no contender


@dataclass(frozen=True)
class Bid(Generic[Thing]):
    """Something that could be chosen, with its cost by the model alone and as corrected."""

    thing: Thing
    model: LayerCost
    corrected: LayerCost


def cheapest(bids: Sequence[Bid[Thing]]) -> Thing:
    """What costs least of at least one: by corrected costs if all contenders have one."""
    close = CLOSE * min(bid.model.latency_ms for bid in bids)
    contenders = [bid.corrected for bid in bids if bid.model.latency_ms <= close]
    if any(is_model(cost) for cost in contenders):
        return min(bids, key=lambda bid: bid.model.latency_ms).thing
    known = [bid for bid in bids if not is_model(bid.corrected)]
    return min(known or bids, key=lambda bid: bid.corrected.latency_ms).thing


def mixed(costs: Sequence[LayerCost]) -> bool:
    """Whether some of `costs` are by models alone and others are not."""
    kinds = {cost.origin for cost in costs if cost.latency_ms > 0}
    return "model" in kinds and len(kinds) > 1


def is_model(cost: LayerCost) -> bool:
    """Whether a cost is that of a model alone, of something that takes time."""
    return cost.origin == "model" and cost.latency_ms > 0
