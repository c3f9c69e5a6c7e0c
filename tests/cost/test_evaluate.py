"""Cycles and energy against closed forms."""

from dataclasses import replace
from math import ceil, isclose
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import Costs, evaluate
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem, problem_of
from codesign.cost.schedule import Schedule
from codesign.ir.dtype import DType
from codesign.ir.ops.matmul import Linear
from codesign.ir.types import TensorType
from codesign.machine.load import load_machine
from codesign.machine.machine import Axis, Datapath, Machine, Memory, Operand, Timing
from codesign.mapping.mapper import search

WIDTHS = Widths(8, 8, 32, 8)
SPREAD: dict[Operand, tuple[str, str]] = {
    "weight": ("c", "m"),
    "input": ("c", "n"),
    "output": ("n", "m"),
}


def product(rows: int, depth: int, columns: int) -> Problem:
    """[rows, depth] times [depth, columns]: loops n, c, m."""
    x, w = TensorType((rows, depth), DType.F32), TensorType((columns, depth), DType.F32)
    op = Linear()
    y = op.infer(x, w, None)
    return problem_of(op.loops((x, w), y), (x, w), y)


def systolic(
    rows: int, columns: int, stationary: Operand, problem: Problem, flow: float = 0.0
) -> Candidates:
    """A systolic array that keeps an element of one operand in each place."""
    first, second = SPREAD[stationary]
    load = 0 if stationary == "output" else rows
    memories = (
        Memory(
            "sram",
            ("input", "weight", "output"),
            flow={"all": flow} if flow else {},
            read=2.0,
            width=8,
        ),
        Memory("register", (stationary,), along=("rows", "columns")),
    )
    device = Machine(
        "systolic",
        1e9,
        memories,
        (Axis("rows", rows, (first,), sums=True), Axis("columns", columns, (second,))),
        Datapath(mac=0.5),
        Timing(stationary, load, rows + columns - 2),
        idle=3.0,
    )
    unrolled = (
        ("rows", ((first, min(rows, problem.bound(first))),)),
        ("columns", ((second, min(columns, problem.bound(second))),)),
    )
    (other,) = {"n", "m", "c"} - {first, second}
    return Candidates.of(problem, device, Schedule(unrolled, ((),), ((first, second, other), ())))


def costs(candidates: Candidates) -> Costs:
    return evaluate(candidates, WIDTHS)


def last_cycle(layer: Costs) -> float:
    """The number of the last cycle, counted from 0."""
    return float(layer.compute[0] + layer.fill[0]) - 1


GOLDEN: list[tuple[Operand, int]] = [("weight", 11_199), ("input", 14_207), ("output", 10_175)]


@pytest.mark.parametrize(("stationary", "cycles"), GOLDEN)
def test_scale_sim_traces(stationary: Operand, cycles: int) -> None:
    """A product of 256 x 256 by 256 x 128 on 32 x 32, as SCALE-Sim (2018) simulates it."""
    mapped = systolic(32, 32, stationary, product(256, 256, 128))
    assert last_cycle(costs(mapped)) == cycles


sizes = st.integers(1, 70)


@settings(deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 16), st.integers(1, 16), st.sampled_from(list(SPREAD)))
def test_scale_sim_formulas(
    n: int, c: int, m: int, rows: int, columns: int, stationary: Operand
) -> None:
    """folds * (load + R + C + T - 2) - 1 for every size (Samajdar et al., SCALE-Sim, 2018)."""
    bounds = {"n": n, "c": c, "m": m}
    first, second = SPREAD[stationary]
    (other,) = set(bounds) - {first, second}
    folds = ceil(bounds[first] / rows) * ceil(bounds[second] / columns)
    load = 0 if stationary == "output" else rows
    layer = costs(systolic(rows, columns, stationary, product(n, c, m)))
    assert last_cycle(layer) == folds * (load + rows + columns + bounds[other] - 2) - 1


@settings(deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 9), st.integers(1, 9), st.integers(0, 100))
def test_loads_hide_behind_the_pass_before(
    n: int, c: int, m: int, rows: int, columns: int, load: int
) -> None:
    """Tile by tile: each begins when it is loaded and the one before is done."""
    given = systolic(rows, columns, "weight", product(n, c, m))
    timing = replace(given.machine.timing, load=load, hidden=True)
    hidden = replace(given, machine=replace(given.machine, timing=timing))
    loaded = done = 0
    for _ in range(ceil(c / rows) * ceil(m / columns)):
        begun = max(loaded + load, done)
        loaded, done = begun, begun + n + rows + columns - 2
    assert isclose(costs(hidden).cycles[0], done)


def test_a_product_of_one_row_waits_for_its_weights_on_tpu_v1() -> None:
    machine = load_machine(Path("targets/spatial/machines/tpu_v1.toml"))
    found = search(product(1, 128, 10), machine, WIDTHS)
    assert found.costs.cycles[0] == 256 + 1


@settings(deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 9), st.integers(1, 9), st.floats(1, 500))
def test_the_slowest_sets_the_pace_and_energy_adds_up(
    n: int, c: int, m: int, rows: int, columns: int, flow: float
) -> None:
    mapped = systolic(rows, columns, "weight", product(n, c, m), flow)
    layer = costs(mapped)
    row_folds, column_folds = ceil(c / rows), ceil(m / columns)
    inputs, weights, sums = n * c * column_folds, c * m, n * m * row_folds
    read = 8 * (inputs + weights) + 32 * (sums - n * m)
    written = 32 * (sums - n * m) + 8 * n * m
    assert (layer.read["sram"][0], layer.written["sram"][0]) == (read, written)
    (slow,), pace = layer.flows["sram"], float(layer.compute[0] + layer.fill[0])
    assert isclose(slow, (read + written) / flow)
    assert isclose(layer.latency[0], max(pace, slow))
    assert layer.bound() == ("sram" if slow > pace else "compute")
    assert isclose(layer.energy["sram"][0], 2.0 * read / 8)
    assert isclose(layer.picojoules[0], 2.0 * read / 8 + 0.5 * n * c * m + 3.0 * layer.cycles[0])


def test_without_multicast_each_element_is_read_for() -> None:
    one = systolic(4, 3, "weight", product(5, 4, 3))
    sram, register = one.machine.memories
    alone = replace(one.machine, memories=(replace(sram, multicast=False), register))
    shared, apart = (evaluate(replace(one, machine=m), WIDTHS) for m in (one.machine, alone))
    inputs, weights, macs = 5 * 4 * 8, 4 * 3 * 8, 5 * 4 * 3
    partial = shared.read["sram"][0] - inputs - weights
    assert apart.read["sram"][0] == macs * 8 + weights + partial
    assert apart.written["sram"] == shared.written["sram"]
