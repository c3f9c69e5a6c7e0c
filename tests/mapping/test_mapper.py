"""The mapper against trying everything, and against what a chip's own mapper chose."""

from itertools import permutations, product
from math import inf, prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.operands import Widths
from codesign.cost.problem import Problem
from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.machine.machine import Axis, Datapath, Machine, Memory, Operand
from codesign.mapping.aims import keys
from codesign.mapping.mapper import search
from codesign.mapping.tiles import sizes
from tests.cost.test_traffic import convolutions

WIDTHS = Widths(8, 8, 16, 8)
BITS: dict[Operand, int] = {"input": 8, "weight": 8, "output": 16}


def machine(buffer: float, own: float, bus: float) -> Machine:
    """A buffer over an array of 2 x 2, whose elements hold some weights of their own."""
    memories = (
        Memory("outer", ("input", "weight", "output"), read=100, write=90, flow={"all": bus}),
        Memory("buffer", ("input", "weight", "output"), buffer, read=5, write=6, flow={"all": 64}),
        Memory("own", ("weight",), own, read=1, write=1, along=("rows", "columns")),
    )
    axes = (Axis("rows", 2, ("c", "r"), sums=True), Axis("columns", 2, ("m", "y")))
    return Machine("small", 1e9, memories, axes, Datapath(mac=0.5), idle=2.0)


def spreads(problem: Problem, axis: Axis) -> list[dict[str, int]]:
    """All ways to unroll loops over an axis."""
    loops = [loop for loop, _ in problem.bounds if loop[0] in axis.unroll]
    options = [[f for f in sizes(problem.bound(loop)) if f <= axis.size] for loop in loops]
    found = [dict(zip(loops, picked, strict=True)) for picked in product(*options)]
    return [one for one in found if prod(one.values()) <= axis.size]


def everything(problem: Problem, device: Machine, aims: tuple[str, ...]) -> Any:
    """The least keys of all schedules in which tiles divide those around them or cover loops."""
    loops, best = [loop for loop, _ in problem.bounds], None
    for rows, columns in product(*(spreads(problem, axis) for axis in device.axes)):
        factor = {x: rows.get(x, 1) * columns.get(x, 1) for x in loops}
        chains = [
            [
                (own, own * factor[x] * trips)
                for own in sizes(-(-problem.bound(x) // factor[x]))
                for trips in sizes(-(-problem.bound(x) // (own * factor[x])))
            ]
            for x in loops
        ]
        unrolled = (("rows", tuple(rows.items())), ("columns", tuple(columns.items())))
        for chain in product(*chains):
            held = (
                tuple(zip(loops, (c[1] for c in chain), strict=True)),
                tuple(zip(loops, (c[0] for c in chain), strict=True)),
            )
            for order in product(permutations(loops), repeat=2):
                one = Candidates.of(problem, device, Schedule(unrolled, held, (*order, ())))
                if not one.fits(BITS)[0]:
                    break
                mine = tuple(keys(one, evaluate(one, WIDTHS), WIDTHS, aims)[:, 0])
                best = mine if best is None else min(best, mine)
    return best


@st.composite
def tiny(draw: st.DrawFn) -> Problem:
    """A convolution of at most three loops."""
    return draw(convolutions().filter(lambda p: 1 <= len(p.bounds) <= 3 and p.macs <= 60))


AIMS = [("latency", "energy"), ("energy", "latency"), ("edp",), ("outer", "latency")]


@settings(deadline=None, max_examples=25)
@given(tiny(), st.sampled_from([60, 100, 200, inf]), st.sampled_from([8, 16, 40]), st.data())
def test_nothing_is_better(
    problem: Problem, buffer: float, own: float, data: st.DataObject
) -> None:
    aims = data.draw(st.sampled_from(AIMS))
    device = machine(buffer, own, data.draw(st.sampled_from([4, 64])))
    want = everything(problem, device, aims)
    if want is None:
        with pytest.raises(RefusedError, match="machine small"):
            search(problem, device, WIDTHS, aims=aims)
        return
    found = search(problem, device, WIDTHS, aims=aims)
    one = Candidates.of(problem, device, found.schedule)
    have = tuple(keys(one, evaluate(one, WIDTHS), WIDTHS, aims)[:, 0])
    assert found.proven
    assert one.fits(BITS)[0]
    assert have == pytest.approx(want)
    assert found.costs.latency[0] == evaluate(one, WIDTHS).latency[0]


@given(st.integers(1, 3000))
def test_sizes_are_the_smallest_for_each_number_of_tiles(bound: int) -> None:
    counts = {-(-bound // extent): extent for extent in range(bound, 0, -1)}
    assert sorted(counts.values()) == list(sizes(bound))
