"""What a mapping should be good at, as numbers to compare one after the other; less is better."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.cost.candidates import Amounts, Candidates
from codesign.cost.evaluate import Costs
from codesign.cost.exchange import exchange
from codesign.cost.operands import DENSE, Widths

Keys = NDArray[np.float64]
Mark = tuple[float, ...]


def keys(candidates: Candidates, costs: Costs, widths: Widths, aims: Sequence[str]) -> Keys:
    """[aims, candidates]: what is to be small, the first aim first; 0 for buses that are not there.

    On a relaxed machine each is a bound from below.
    """
    found = [_key(candidates, costs, widths, aim) for aim in aims]
    return np.array([np.broadcast_to(key, candidates.count) for key in found], np.float64)


def _key(candidates: Candidates, costs: Costs, widths: Widths, aim: str) -> Amounts:
    if aim == "latency":
        return costs.latency
    if aim == "energy":
        return costs.picojoules
    if aim == "edp":
        return costs.latency * costs.picojoules
    if aim == "hidden":
        return _exposed(candidates, costs)
    if aim == "elements":
        return -in_use(candidates)
    return transfers(candidates, widths, aim)


def in_use(candidates: Candidates) -> Amounts:
    """Elements that work on a full tile."""
    axes = [axis.name for axis in candidates.machine.axes]
    spread = (
        np.minimum(candidates.factor(loop, axes), bound)
        for loop, bound in candidates.problem.bounds
    )
    found: Amounts = prod(spread, start=candidates.ones).astype(float)
    return found


def _exposed(candidates: Candidates, costs: Costs) -> Amounts:
    """How many of the flows that the machine's policy wants hidden are not."""
    hidden = (name for name in candidates.machine.mapping.hidden if name in costs.flows)
    slow = (costs.flows[name] > costs.compute for name in hidden)
    return sum((one.astype(float) for one in slow), start=0.0 * costs.compute)


def transfers(candidates: Candidates, widths: Widths, memory: str) -> Amounts:
    """Bits that `memory` exchanges, feature maps as far compressed as the policy takes them."""
    moved = exchange(candidates, widths, DENSE)
    total = moved.none
    if memory not in moved.read:
        return total
    for table in (moved.down, moved.up):
        for (name, operand), bits in table.items():
            if name == memory:
                total = total + (bits if operand == "weight" else bits / _compress(candidates))
    return total


def _compress(candidates: Candidates) -> float:
    return candidates.machine.mapping.compress


def best_first(found: Keys) -> NDArray[np.int64]:
    """The numbers of the candidates, the best first."""
    order: NDArray[np.int64] = np.lexsort(found[::-1])
    return order


def before(found: Keys, mark: Mark) -> NDArray[np.bool_]:
    """Which candidates are better than `mark`."""
    good = np.zeros(found.shape[1], np.bool_)
    tied = ~good
    for key, value in zip(found, mark, strict=True):
        good |= tied & (key < value)
        tied &= key == value
    return good
