"""Machines against what was published of them (the figures are in benchmarks/published.py)."""

import pytest

from benchmarks.accelerators import bit_fusion, eyeriss, eyeriss_v2, off, systolic, tile_period
from benchmarks.published import BIT_FUSION, EYERISS, EYERISS_V2, SCALE_SIM, TPU, Chip, Fused, Pair
from codesign import plugins
from codesign.mapping.mapper import Found


@pytest.mark.parametrize("layer", EYERISS, ids=lambda layer: layer.name)
def test_eyeriss_takes_what_the_chip_took(layer: Chip) -> None:
    found = eyeriss(layer)
    costs, clock = found.costs, plugins.make("target", "eyeriss").machine.clock
    chip = sum(float(pj[0]) for name, pj in costs.energy.items() if name != "dram")
    moved = float(costs.read["dram"][0] + costs.written["dram"][0]) / 8 / 2**20
    assert found.proven
    assert off(costs.cycles[0] / clock * 1e3, layer.processing) < 0.15
    assert off(chip / 1e12 / (costs.latency[0] / clock) * 1e3, layer.milliwatt) < 0.3
    assert off(moved, layer.dram) < 0.25


def test_eyeriss_in_all() -> None:
    total = sum(float(eyeriss(layer).costs.cycles[0]) / 200e3 for layer in EYERISS)
    assert off(total, sum(layer.processing for layer in EYERISS)) < 0.08


LAYERS = {f"{net} {one.name}": one for net, layers in BIT_FUSION.items() for one, _ in layers}


@pytest.fixture(scope="module")
def fused() -> dict[str, Found]:
    return {name: bit_fusion(layer) for name, layer in LAYERS.items()}


def test_bit_fusion_computes_as_long_as_its_simulator(fused: dict[str, Found]) -> None:
    have = {name: int(found.costs.compute[0]) for name, found in fused.items()}
    assert have == {name: layer.compute for name, layer in LAYERS.items()}


def test_bit_fusion_takes_as_long_as_its_simulator(fused: dict[str, Found]) -> None:
    def total(net: str, layers: tuple[tuple[Fused, int], ...]) -> float:
        costs = [fused[f"{net} {one.name}"].costs.latency[0] * times for one, times in layers]
        return float(sum(costs))

    for net, layers in BIT_FUSION.items():
        published = sum(one.cycles * times for one, times in layers)
        assert off(total(net, layers), published) < 0.05, net


@pytest.mark.parametrize("dataflow", SCALE_SIM)
def test_systolic_arrays_take_what_scale_sim_counts(dataflow: str) -> None:
    assert systolic(dataflow).costs.cycles[0] - 1 == SCALE_SIM[dataflow]


@pytest.mark.parametrize("net", TPU)
def test_tpu_waits_for_weights(net: str) -> None:
    period, batch = TPU[net]
    assert off(tile_period(batch), period) < 0.04


@pytest.mark.parametrize("layer", EYERISS_V2, ids=lambda layer: layer.name)
def test_eyeriss_v2_skips_what_its_element_skips(layer: Pair) -> None:
    assert off(eyeriss_v2(layer).costs.cycles[0], layer.cycles) < 0.08
