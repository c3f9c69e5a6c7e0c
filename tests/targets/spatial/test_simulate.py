"""The simulator against the interpreter's meaning of codes, and its counts against the costs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import busy
from codesign.cost.operands import Widths
from codesign.cost.traffic import moves
from codesign.errors import RefusedError
from codesign.targets.spatial.simulate.events import Moved
from codesign.targets.spatial.simulate.operands import Operands
from codesign.targets.spatial.simulate.run import Run, simulate
from tests.cost.partly import partly
from tests.cost.test_partly import halves
from tests.cost.test_traffic import mapped
from tests.cost.walk import Mapped

WIDTHS = Widths(8, 8, 32, 8)


def operands(case: Mapped, seed: int, zero: int = 0) -> Operands:
    """Random codes, many of them zero."""
    random = np.random.default_rng(seed)

    def codes(axes: Any, low: int, high: int, null: int) -> Any:
        found = random.integers(low, high, [axis.extent for axis in axes])
        return np.where(random.random(found.shape) < 0.3, null, found)

    problem = case.problem
    return Operands(codes(problem.input, 0, 256, zero), codes(problem.weight, -128, 128, 0), zero)


def direct(problem: Any, given: Operands) -> Any:
    """Every multiplication by itself, over the loops of the problem."""
    loops = [x for x, _ in problem.bounds]
    grids = dict(zip(loops, np.indices([n for _, n in problem.bounds]), strict=True))
    values = []
    for axes, codes, zero in (
        (problem.input, given.input, given.zero),
        (problem.weight, given.weight, 0),
    ):
        at = [a.offset + sum(c * grids[x] for x, c in a.terms) for a in axes]
        at = [np.broadcast_to(i, [n for _, n in problem.bounds]) for i in at]
        inside = np.all([(i >= 0) & (i < a.extent) for i, a in zip(at, axes, strict=True)], axis=0)
        clipped = tuple(np.clip(i, 0, a.extent - 1) for i, a in zip(at, axes, strict=True))
        values.append(np.where(inside, codes[clipped].astype(np.int64) - zero, 0))
    out = np.zeros([a.extent for a in problem.output], np.int64)
    where = tuple(
        np.broadcast_to(a.offset + sum(c * grids[x] for x, c in a.terms), values[0].shape)
        for a in problem.output
    )
    np.add.at(out, where, values[0] * values[1])
    return out


def run(case: Mapped, given: Operands) -> Run:
    return simulate(case.problem, case.machine, case.schedule, WIDTHS, given)


def amounts(case: Mapped) -> list[Moved]:
    """What the cost model says that moves."""
    found = []
    for move in moves(Candidates.of(case.problem, case.machine, case.schedule)):
        counted = tuple(int(n[0]) for n in (move.down, move.filled, move.up, move.drained))
        found.append(Moved(move.operand, move.outer, move.inner, *counted))
    return found


@settings(deadline=None, max_examples=60)
@given(mapped(), st.integers(0, 2**32), st.sampled_from([0, 7, 128]))
def test_sums_and_counts(case: Mapped, seed: int, zero: int) -> None:
    codes = operands(case, seed, zero)
    found = run(case, codes)
    assert np.array_equal(found.sums, direct(case.problem, codes))
    for want, have in zip(amounts(case), found.moves, strict=True):
        assert have == want
    assert found.macs == case.problem.macs
    assert found.busy == int(busy(Candidates.of(case.problem, case.machine, case.schedule))[0])


@settings(deadline=None, max_examples=40)
@given(partly(), st.integers(0, 2**32))
@example(halves(1), 0)
@example(halves(2), 0)
def test_sums_and_counts_of_memories_along_some_axes(case: Mapped, seed: int) -> None:
    codes = operands(case, seed)
    found = run(case, codes)
    assert np.array_equal(found.sums, direct(case.problem, codes))
    assert list(found.moves) == amounts(case)


@settings(deadline=None, max_examples=30)
@given(mapped(), st.integers(0, 2**32))
def test_one_element_skips_what_is_zero(case: Mapped, seed: int) -> None:
    path = replace(case.machine.datapath, skip=("input", "weight"))
    axes = tuple(replace(axis, size=1) for axis in case.machine.axes)
    bare = replace(case.schedule, unrolled=())
    lonely = replace(case, machine=replace(case.machine, datapath=path, axes=axes), schedule=bare)
    codes = operands(lonely, seed)
    found = run(lonely, codes)
    one = Operands(*((np.asarray(c) != 0).astype(np.int64) for c in (codes.input, codes.weight)))
    assert found.cycles == direct(case.problem, one).sum()
    if case.machine.elements > 1:
        many = replace(case, machine=replace(case.machine, datapath=path))
        with pytest.raises(RefusedError, match="elements that skip zeros"):
            run(many, codes)
