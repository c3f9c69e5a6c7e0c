"""Figures of a layer belong together: of estimates and of artifacts, of cycles and of times."""

from pathlib import Path

import pytest

import codesign as cd
from codesign import plugins
from codesign.runtime.modelled import modelled
from tests.small import small_graph, small_input

DATA = {"x": small_input(4)}
PASSES = ["assign-bits{base=uniform}"]
CLOCKS = {"eyeriss": 200e6, "eyeriss_v2": 200e6, "bitfusion": 500e6}


@pytest.mark.parametrize("target", ["eyeriss", "eyeriss_v2", "bitfusion"])
def test_an_artifact_costs_what_estimate_says(target: str, tmp_path: Path) -> None:
    want = cd.estimate(small_graph(), target, PASSES, calibration=DATA)
    compiled = cd.compile(small_graph(), target, PASSES, calibration=DATA)
    compiled.save(tmp_path / "out")
    opened = cd.open(tmp_path / "out")
    for report in (compiled.report, opened.report):
        assert report["total"]["latency_ms"] == want.latency_ms
        assert report["total"]["energy_uj"] == want.energy_uj
        assert report["total"]["remarks"] == list(want.remarks)
        assert report["ledger"][-1]["estimated_ms"] == want.latency_ms
        assert report["ledger"][-1]["energy_uj"] == want.energy_uj
    assert modelled(opened)["latency_ms"] == want.latency_ms
    layer = next(layer for layer in want.layers if layer.name == "second")
    told = opened.explained("second")
    assert told["cycles"] == layer.cycles
    assert told["energy_uj"] == pytest.approx(layer.energy_parts_uj)


def test_zeros_count_in_every_row_of_the_ledger() -> None:
    passes = ["prune-magnitude{sparsity=0.7}", *PASSES]
    plain = cd.compile(small_graph(), "eyeriss", passes, calibration=DATA).report["ledger"]
    dense = cd.estimate(small_graph(), "eyeriss", ["place"]).energy_uj
    assert dense is not None
    assert all(0 < row["energy_uj"] < 0.97 * dense for row in plain)


@pytest.mark.parametrize("target", ["eyeriss", "eyeriss_v2", "bitfusion"])
def test_cycles_are_those_of_the_time(target: str) -> None:
    machine = plugins.make("target", target).machine
    assert machine.clock == CLOCKS[target]
    found = [c for c in cd.estimate(small_graph(), target, ["place"]).layers if c.macs]
    for layer in found:
        assert layer.cycles == pytest.approx(layer.latency_ms * 1e-3 * machine.clock)
        assert ("+ dram" in layer.bound) == (target == "eyeriss")
        # macs are of the layer as it is, at 16 bits; the array may compute on padding besides
        if target == "eyeriss":
            peak = layer.cycles * machine.elements
            assert layer.utilization == pytest.approx(layer.macs / peak)


def test_parts_that_add_up_are_named() -> None:
    told = cd.compile(small_graph(), "eyeriss", PASSES, calibration=DATA).explained("second")
    assert told["waits"] == ["dram"] and told["bound"] != "dram"
    busy = told["busy_cycles"]
    computing = busy["compute"] + busy["fill and drain"]
    assert told["cycles"] >= computing + told["waiting"]
    hidden = cd.compile(small_graph(), "bitfusion", PASSES, calibration=DATA).explained("second")
    assert hidden["waits"] == [] and hidden["waiting"] == 0


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_what_is_skipped_does_not_count_as_used(sparsity: float) -> None:
    passes = [f"prune-magnitude{{sparsity={sparsity}}}", *PASSES]
    found = cd.estimate(small_graph(), "eyeriss_v2", passes, calibration=DATA)
    used = [layer.utilization for layer in found.layers if layer.macs]
    assert all(0 < share <= 1 for share in used)


def test_power_with_and_without_dram() -> None:
    compiled = cd.compile(small_graph(), "eyeriss", PASSES, calibration=DATA)
    found = modelled(compiled)
    parts, took = found["energy_parts_uj"], found["latency_ms"]
    assert found["outside"] == "dram"
    assert sum(parts.values()) == pytest.approx(found["energy_uj"])
    assert found["power_mw"] == pytest.approx(found["energy_uj"] / took)
    assert found["chip_power_mw"] == pytest.approx((found["energy_uj"] - parts["dram"]) / took)
