"""What skipping zeros buys: by drawing zeros, and by the mapper's own bound."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.evaluate import evaluate
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.cost.uneven import EXACT, slowest
from codesign.machine.machine import Datapath
from codesign.mapping.mapper import search
from tests.cost.test_evaluate import product, systolic

WIDTHS = Widths(8, 8, 32, 8)


def one(work: int, elements: int, useful: float) -> float:
    return float(slowest(np.array([work]), np.array([elements]), useful)[0])


@pytest.mark.parametrize(("work", "elements"), [(1, 7), (40, 1), (40, 12), (300, 168)])
@pytest.mark.parametrize("useful", [0.05, 0.5, 0.9])
def test_the_slowest_of_many_is_what_drawing_gives(work: int, elements: int, useful: float) -> None:
    random = np.random.default_rng(0)
    drawn = random.binomial(work, useful, (40_000, elements)).max(axis=1)
    assert one(work, elements, useful) == pytest.approx(drawn.mean(), rel=0.01, abs=0.01)


@pytest.mark.parametrize(("work", "elements", "useful"), [(100_000, 1000, 2e-5), (20_000, 4, 1e-5)])
def test_rare_work_among_much_that_is_skipped(work: int, elements: int, useful: float) -> None:
    random = np.random.default_rng(0)
    drawn = random.binomial(work, useful, (20_000, elements)).max(axis=1)
    assert one(work, elements, useful) == pytest.approx(drawn.mean(), rel=0.02)


@pytest.mark.parametrize("useful", [1e-4, 0.01, 0.3, 0.999])
def test_both_formulas_meet(useful: float) -> None:
    edge = int(EXACT / (useful * (1 - useful)))
    below, above = (one(edge + n, 100, useful) for n in (-1, 2))
    assert below == pytest.approx(above, rel=1e-3)


def test_more_work_takes_no_less() -> None:
    found = slowest(np.arange(16_380, 16_390), np.full(10, 1000), 2e-5)
    assert (np.diff(found) > 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 500), st.integers(1, 200), st.floats(0.01, 1.0))
def test_it_lies_between_none_waiting_and_none_skipping(work: int, many: int, p: float) -> None:
    found = one(work, many, p)
    assert work * p * (1 - 1e-9) <= found <= work * (1 + 1e-9)
    assert found <= one(work, many + 1, p) * (1 + 1e-9)


def test_cycles_and_energy_follow() -> None:
    dense = systolic(2, 2, "weight", product(4, 4, 4))
    path = Datapath(mac=0.5, skip=("input", "weight"))
    skips = replace(dense, machine=replace(dense.machine, datapath=path))
    half = Densities(input=0.5, weight=0.5)
    full, spared = evaluate(dense, WIDTHS, DENSE), evaluate(skips, WIDTHS, half)
    assert evaluate(skips, WIDTHS, DENSE).compute == full.compute
    assert spared.energy["mac"][0] == pytest.approx(full.energy["mac"][0] / 4)
    assert full.compute[0] / 4 < spared.compute[0] < full.compute[0]


def test_the_mapper_stays_exact_where_zeros_are_skipped() -> None:
    given = systolic(2, 3, "weight", product(6, 5, 4))
    machine = replace(given.machine, datapath=Datapath(mac=0.5, skip=("weight",)))
    densities = Densities(weight=0.3)
    found = search(given.problem, machine, WIDTHS, densities, ("latency", "energy"))
    dense = search(given.problem, machine, WIDTHS, DENSE, ("latency", "energy"))
    assert found.proven
    assert 0.3 * dense.costs.cycles[0] <= found.costs.cycles[0] < dense.costs.cycles[0]
