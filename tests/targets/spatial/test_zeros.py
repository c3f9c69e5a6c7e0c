"""Zeros of feature maps that are seen in data, and what they spare."""

import numpy as np
import pytest

import codesign as cd
from codesign import plugins
from codesign.analysis.estimate import Estimate, LayerCost
from codesign.interpret.densities import densities
from codesign.interpret.evaluate import trace
from tests.small import small_graph, small_input

GRAPH = small_graph()
PLAIN = ["place"]


def layer(found: Estimate, name: str) -> LayerCost:
    return next(one for one in found.layers if one.name == name)


def test_densities_are_those_of_the_interpreter() -> None:
    batches = [{"x": sample[None]} for sample in small_input(3)]
    found = densities(GRAPH, batches)
    traces = [trace(GRAPH, batch) for batch in batches]
    assert set(found) == set(traces[0])
    for value, density in found.items():
        shares = [np.count_nonzero(one[value]) / one[value].size for one in traces]
        assert density == pytest.approx(np.mean(shares))
    assert found["x"] == 1.0 and 0.3 < found["first.relu"] < 0.7


def test_no_element_is_still_one() -> None:
    dead = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    assert densities(GRAPH, [dead])["x"] == 1 / (3 * 64)


def test_zeros_spare_energy_and_transfers_on_eyeriss() -> None:
    dense = cd.estimate(GRAPH, "eyeriss", PLAIN)
    seen = cd.estimate(GRAPH, "eyeriss", PLAIN, calibration={"x": small_input(3)})
    before, after = layer(dense, "second"), layer(seen, "second")
    assert after.energy_parts_uj["mac"] < 0.8 * before.energy_parts_uj["mac"]
    assert after.traffic_bytes["dram"] < before.traffic_bytes["dram"]
    assert (
        layer(seen, "first").energy_parts_uj["mac"] == layer(dense, "first").energy_parts_uj["mac"]
    )
    assert any("as if without zeros" in text for text in dense.remarks)
    assert any("as in the calibration data" in text for text in seen.remarks)


def test_an_element_that_skips_them_is_faster() -> None:
    dense, seen = (
        cd.estimate(GRAPH, "eyeriss_v2", PLAIN, calibration=data)
        for data in (None, {"x": small_input(3)})
    )
    assert layer(seen, "second").cycles < 0.8 * layer(dense, "second").cycles


def test_where_zeros_do_not_count_nothing_is_said_of_them() -> None:
    target = plugins.make("target", "bitfusion")
    assert not target.counts_zeros
    assert not any("zeros" in text for text in cd.estimate(GRAPH, target, PLAIN).remarks)
