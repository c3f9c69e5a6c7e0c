"""Machines against what was published of them (the figures are in benchmarks/published.py)."""

import pytest

from benchmarks.accelerators import bit_fusion, eyeriss, eyeriss_v2, off, systolic, tile_period
from benchmarks.published import BIT_FUSION, EYERISS, EYERISS_V2, SCALE_SIM, TPU, Chip, Fused, Pair
from codesign import plugins
from codesign.cost.operands import Densities, Widths
from codesign.cost.problem import Problem, problem_of
from codesign.ir.dtype import DType
from codesign.ir.ops.convolution import Conv
from codesign.ir.types import TensorType
from codesign.mapping.mapper import Found, search


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


def line(channels: int, filters: int, kernel: int) -> Problem:
    """A convolution in one dimension with 95 outputs a filter."""
    x = TensorType((1, channels, 94 + kernel), DType.F32)
    w = TensorType((filters, channels, kernel), DType.F32)
    op = Conv(strides=(1,), pads=((0, 0),), dilations=(1,))
    y = op.infer(x, w, None)
    return problem_of(op.loops((x, w), y), (x, w), y)


@pytest.mark.parametrize(("c", "m", "k"), [(4, 21, 5), (14, 6, 5), (6, 10, 7), (70, 6, 1)])
def test_eyeriss_moves_as_little_of_a_line_as_it_can(c: int, m: int, k: int) -> None:
    """Feature maps are not hidden by computing slowly, which would move more and take longer."""
    machine, widths = plugins.make("target", "eyeriss").machine, Widths(16, 16, 16, 16)
    found = search(line(c, m, k), machine, widths)
    least = search(line(c, m, k), machine, widths, aims=("dram", "latency"))
    assert found.proven
    assert least.proven
    assert found.mark[0] == least.mark[0]
    assert found.costs.latency[0] < 1.3 * least.costs.latency[0]


def test_eyeriss_hides_feature_maps_where_that_is_faster() -> None:
    first = next(layer for layer in EYERISS if layer.name == "CONV1")
    found, machine = eyeriss(first).costs, plugins.make("target", "eyeriss").machine
    problem, widths = first.shape.problem().padded(), Widths(16, 16, 16, 16)
    densities = Densities(1 - first.zeros[0], 1.0, 1 - first.zeros[1])
    other = search(problem, machine, widths, densities, tuple(machine.mapping.order)).costs
    assert found.flows["buffer.input"][0] <= found.compute[0]
    assert other.flows["buffer.input"][0] > other.compute[0]
    assert other.latency[0] > found.latency[0]


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
