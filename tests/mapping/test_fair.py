"""Kernels are compared by corrected costs only where all contenders have one."""

from dataclasses import replace

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.mapping.fair import Bid, cheapest, mixed
from codesign.mapping.group import Group
from codesign.mapping.place import place
from tests.tune.small_task import TARGET, network

COST = LayerCost("l", "conv", "k", 1, 1.0, 1.0, 0.5, "compute")


def bid(name: str, model: float, fitted: float | None) -> Bid[str]:
    cost = replace(COST, latency_ms=model)
    known = cost if fitted is None else replace(cost, latency_ms=fitted, origin="profile")
    return Bid(name, cost, known)


def test_models_decide_unless_all_contenders_have_a_fit() -> None:
    slow, fast = bid("slow", 1.0, 2.0), bid("fast", 1.2, 0.9)
    assert cheapest([slow, fast]) == "fast"
    assert cheapest([slow, bid("unknown", 1.5, None)]) == "slow", "2.0 and 1.5 do not compare"
    assert cheapest([slow, fast, bid("hopeless", 9.0, None)]) == "fast"
    assert cheapest([bid("first", 1.0, None), bid("second", 1.0, None)]) == "first"
    assert cheapest([slow, bid("free", 0.0, None)]) == "free"


def test_costs_are_mixed_if_some_are_corrected() -> None:
    costs = [bid("a", 1.0, 2.0).corrected, bid("b", 1.0, None).corrected]
    assert mixed(costs) and not mixed(costs[:1]) and not mixed(costs[1:])
    assert not mixed([costs[0], replace(COST, latency_ms=0.0)]), "what takes no time is known"


class OnlySlower:
    """Corrects one kernel: it takes twice what its model says."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def corrected(self, kernel: str, group: Group, point: Point, cost: LayerCost) -> LayerCost:
        if kernel != self.kernel:
            return cost
        return replace(cost, latency_ms=2 * cost.latency_ms, origin="profile")


def test_a_device_slower_than_its_models_makes_no_unmeasured_kernel_win() -> None:
    program = network()
    for kernel in {assignment.kernel for assignment in program.placement}:
        target = TARGET.informed(correction=OnlySlower(kernel))
        assert (
            place(replace(program, placement=()), target).placement
            == place(replace(program, placement=()), TARGET).placement
        )
