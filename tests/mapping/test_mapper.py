"""The mapper against trying everything, and against what a chip's own mapper chose."""

from dataclasses import replace
from itertools import permutations, product
from math import inf, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.cost.problem import Problem
from codesign.machine.machine import Axis, Datapath, Machine, Memory, Operand, Timing
from codesign.mapping.aims import best_first, keys
from codesign.mapping.gap import NoMappingError
from codesign.mapping.mapper import search
from codesign.mapping.space import Space
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


def sparse(device: Machine) -> tuple[Machine, Densities]:
    """`device` with a buffer that is read for each element and elements that skip zeros."""
    memories = [replace(m, multicast=m.name != "buffer") for m in device.memories]
    path = replace(device.datapath, gate=("input",), skip=("weight",))
    return replace(device, memories=tuple(memories), datapath=path), Densities(0.6, 0.3, 1.0)


def loading(device: Machine) -> tuple[Machine, Densities]:
    """`device` with tiles of weights that load while the one before is worked on."""
    return replace(device, timing=Timing("weight", 5, 1, hidden=True)), DENSE


def spreads(problem: Problem, axis: Axis) -> list[dict[str, int]]:
    """All ways to unroll loops over an axis."""
    loops = [loop for loop, _ in problem.bounds if loop[0] in axis.unroll]
    options = [[f for f in sizes(problem.bound(loop)) if f <= axis.size] for loop in loops]
    found = [dict(zip(loops, picked, strict=True)) for picked in product(*options)]
    return [one for one in found if prod(one.values()) <= axis.size]


def everything(problem: Problem, device: Machine, aims: tuple[str, ...], zeros: Densities) -> Any:
    """The least keys of all schedules in which tiles divide those around them or cover loops."""
    loops, best = [loop for loop, _ in problem.bounds], None
    for rows, columns in product(*(spreads(problem, axis) for axis in device.axes)):
        factor = {x: rows.get(x, 1) * columns.get(x, 1) for x in loops}
        chains = [
            [
                (own * factor[x] * trips, own)
                for own in sizes(-(-problem.bound(x) // factor[x]))
                for trips in sizes(-(-problem.bound(x) // (own * factor[x])))
            ]
            for x in loops
        ]
        picked = np.array(list(product(*chains)), np.int64).reshape(-1, len(loops), 2)
        held = [{x: picked[:, n, level] for n, x in enumerate(loops)} for level in range(2)]
        ones = np.ones(len(picked), np.int64)
        factors = {
            name: {x: ones * count for x, count in spread.items()}
            for name, spread in (("rows", rows), ("columns", columns))
        }
        for order in product(permutations(loops), repeat=2):
            some = Candidates(problem, device, len(picked), factors, held, (*order, ()))
            fits = some.fits(BITS)
            if not fits.any():
                break
            found = keys(some, evaluate(some, WIDTHS, zeros), WIDTHS, aims)[:, fits]
            mine = tuple(found[:, best_first(found)[0]])
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
    kinds = [(device, DENSE), sparse(device), loading(device)]
    device, zeros = data.draw(st.sampled_from(kinds))
    want = everything(problem, device, aims, zeros)
    if want is None:
        with pytest.raises(NoMappingError) as caught:
            search(problem, device, WIDTHS, zeros, aims)
        assert "of small has" in str(caught.value) or "of machine small" in str(caught.value)
        return
    found = search(problem, device, WIDTHS, zeros, aims)
    one = Candidates.of(problem, device, found.schedule)
    have = tuple(keys(one, evaluate(one, WIDTHS, zeros), WIDTHS, aims)[:, 0])
    assert found.proven
    assert one.fits(BITS)[0]
    assert have == pytest.approx(want)
    assert found.costs.latency[0] == evaluate(one, WIDTHS, zeros).latency[0]


@given(st.integers(1, 3000))
def test_sizes_are_the_smallest_for_each_number_of_tiles(bound: int) -> None:
    counts = {-(-bound // extent): extent for extent in range(bound, 0, -1)}
    assert sorted(counts.values()) == list(sizes(bound))


@given(tiny(), st.sampled_from([8, 16, 40]))
def test_the_cuts_of_a_pair_are_all_that_begin_and_spread_alike(p: Problem, own: float) -> None:
    space = Space(p, machine(200, own, 64), WIDTHS)
    for loop, parts in space.parts.items():
        cuts = space.cuts[loop]
        for number, way in enumerate(parts.ways):
            for other, tile in enumerate(parts.tiles):
                alike = (cuts.factors == way).all(axis=1) & (cuts.held[:, 0] == tile)
                found = range(parts.start[number, other], parts.stop[number, other])
                assert list(found) == list(np.flatnonzero(alike))
