"""Traffic between memories against walking through every tile."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.problem import Problem, problem_of
from codesign.cost.schedule import Schedule, levels_of
from codesign.cost.traffic import moves
from codesign.ir.dtype import DType
from codesign.ir.ops.convolution import Conv
from codesign.ir.types import TensorType
from codesign.machine.machine import OPERANDS, Axis, Machine, Memory, Operand
from tests.cost.walk import Mapped, elements, instances, visits, walked


@st.composite
def convolutions(draw: st.DrawFn) -> Problem:
    """Small convolutions: strides, dilations, padding, groups."""
    number = st.integers
    groups, m, c = draw(number(1, 2)), draw(number(1, 4)), draw(number(1, 3))
    kernel = draw(st.tuples(number(1, 3), number(1, 2)))
    strides, dilations = (
        draw(st.tuples(number(1, 3), number(1, 2))),
        draw(st.tuples(number(1, 2), number(1, 2))),
    )
    pads = tuple((draw(number(0, k - 1)), draw(number(0, k - 1))) for k in kernel)
    out = draw(st.tuples(number(1, 5), number(1, 4)))
    size = [
        max(1, (o - 1) * s + d * (k - 1) + 1 - sum(p))
        for o, s, d, k, p in zip(out, strides, dilations, kernel, pads, strict=True)
    ]
    x = TensorType((draw(number(1, 2)), groups * c, *size), DType.F32)
    w = TensorType((groups * m, c, *kernel), DType.F32)
    op = Conv(strides=strides, pads=pads, dilations=dilations, groups=groups)
    y = op.infer(x, w, None)
    return problem_of(op.loops((x, w), y), (x, w), y)


def machine(sums: bool, sliding: bool, reload: bool) -> Machine:
    """Two shared levels and one of the elements' own, on an array of two axes."""
    memories = (
        Memory("outer", ("input", "weight", "output")),
        Memory("buffer", ("input", "output")),
        Memory("a", ("input",), along=("rows", "columns"), sliding=sliding, reload=reload),
        Memory("b", ("weight",), along=("rows", "columns"), reload=reload),
        Memory("c", ("output",), along=("rows", "columns"), reload=reload),
    )
    return Machine(
        "m", 1e6, memories, (Axis("rows", 9, ("c", "r"), sums), Axis("columns", 9, ("m", "y")))
    )


@st.composite
def mapped(draw: st.DrawFn) -> Mapped:
    """A schedule whose tiles divide those of the level above, all else at random."""
    problem, device = draw(convolutions()), machine(*(draw(st.booleans()) for _ in range(3)))
    loops = [loop for loop, _ in problem.bounds]
    unrolled, factors = [], dict.fromkeys(loops, 1)
    for axis in device.axes:
        pairs = []
        for loop in axis.unroll:
            if loop in loops and draw(st.booleans()):
                count = draw(st.integers(1, min(3, problem.bound(loop))))
                pairs.append((loop, count))
                factors[loop] *= count
        unrolled.append((axis.name, tuple(pairs)))
    own = {x: draw(st.integers(1, -(-problem.bound(x) // factors[x]))) for x in loops}
    buffer = {loop: own[loop] * factors[loop] * draw(st.integers(1, 3)) for loop in loops}
    orders = tuple(tuple(draw(st.permutations(loops))) for _ in range(3))
    held = (tuple(buffer.items()), tuple(own.items()))
    return Mapped(problem, device, Schedule(tuple(unrolled), held, orders))


@settings(deadline=None, max_examples=30)
@given(mapped(), st.sampled_from(OPERANDS))
def test_the_largest_tile_decides_what_fits(case: Mapped, operand: Operand) -> None:
    candidates = Candidates.of(case.problem, case.machine, case.schedule)
    need = dict.fromkeys((1, 2), 0)
    for level in need:
        for _, ranges in visits(case, operand, level):
            for _, mine in instances(case, level, ranges):
                need[level] = max(need[level], len(elements(case, operand, mine)))
        assert candidates.largest(operand, candidates.own[level])[0] == need[level]
    widths: dict[Operand, int] = dict.fromkeys(OPERANDS, 0)
    for spare, fits in ((0, True), (-1, False)):
        (outer, *inner), room = case.machine.memories, max(0, need[2] * 8 + spare)
        tight = [m if len(m.holds) > 1 else replace(m, capacity=room) for m in inner]
        small = replace(candidates, machine=replace(case.machine, memories=(outer, *tight)))
        assert bool(small.fits({**widths, operand: 8})[0]) == (fits or not need[2])


@settings(deadline=None, max_examples=60)
@given(mapped())
def test_agrees_with_walking(case: Mapped) -> None:
    names: list[Any] = [{m.name for m in level} for level in levels_of(case.machine)]
    assert names == [{"outer"}, {"buffer"}, {"a", "b", "c"}]
    for move in moves(Candidates.of(case.problem, case.machine, case.schedule)):
        level = next((i for i, found in enumerate(names) if move.inner in found), len(names))
        above = next(i for i, found in enumerate(names) if move.outer in found)
        want = walked(case, move.operand, above, level)
        counted = tuple(int(n[0]) for n in (move.down, move.filled, move.up, move.drained))
        assert counted == want, move
