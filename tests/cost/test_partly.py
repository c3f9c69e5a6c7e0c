"""Memories along some of the axes only, and axes that are written differently but mean the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.schedule import Schedule, levels_of
from codesign.cost.traffic import moves
from codesign.machine.machine import OPERANDS, Axis, Machine, Memory, Operand
from tests.cost.partly import partly
from tests.cost.test_evaluate import WIDTHS, product
from tests.cost.walk import Mapped, walked


def counted(case: Mapped) -> dict[tuple[Operand, str, str], tuple[int, ...]]:
    """(down, filled, up, drained) by operand, outer and inner memory."""
    found = {}
    for move in moves(Candidates.of(case.problem, case.machine, case.schedule)):
        amounts = (move.down, move.filled, move.up, move.drained)
        found[move.operand, move.outer, move.inner] = tuple(int(n[0]) for n in amounts)
    return found


@settings(deadline=None, max_examples=40)
@given(partly())
def test_agrees_with_walking(case: Mapped) -> None:
    names: list[Any] = [{m.name for m in level} for level in levels_of(case.machine)]
    for (operand, outer, inner), amounts in counted(case).items():
        level = next((i for i, found in enumerate(names) if inner in found), len(names))
        above = next(i for i, found in enumerate(names) if outer in found)
        if operand != "output" or not case.machine.memories[0].begins:
            assert amounts == walked(case, operand, above, level), (operand, outer, inner)


def halves(columns: int) -> Mapped:
    """A product of 46 and 46 x 17, of whose 17 outputs two instances of `own` hold 9 and 8."""
    machine = Machine(
        "partly",
        1e9,
        (Memory("outer", OPERANDS), Memory("own", ("input", "weight"), along=("p",))),
        (Axis("p", 5, ("m",)), Axis("q", columns, ("n",))),
    )
    held = ((("m", 9), ("c", 46)),)
    schedule = Schedule((("p", (("m", 2),)),), held, ((), ("m", "c")))
    return Mapped(product(1, 46, 17), machine, schedule)


@pytest.mark.parametrize("columns", [1, 2])
def test_each_place_reads_from_the_instance_at_it(columns: int) -> None:
    """Instances 0 and 1 of `own` hold outputs 0 to 8 and 9 to 16, so both read each input.

    The element at p = 1 multiplies what instance 1 holds: while 0 does its nine outputs one after
    the other, 1 does its eight, and each reads an input from its own instance for each of them,
    17 reads an input. Had the first pair of iterations, outputs 0 and 1, come from instance 0 for
    both elements, one read would have served both; but no wire leads from there to p = 1.
    """
    case = halves(columns)
    assert counted(case)["input", "own", "array"] == (17 * 46, 17 * 46, 0, 0)
    assert walked(case, "input", 1, 2) == (17 * 46, 17 * 46, 0, 0)


@settings(deadline=None, max_examples=40)
@given(partly(), st.randoms(use_true_random=False))
def test_spellings_cost_the_same(case: Mapped, random: Any) -> None:
    """The order in which `along` names axes means nothing, and neither does an axis of one."""
    machine, lanes = case.machine, Axis("lanes", 1, ("n", "m"))
    memories = []
    for memory in machine.memories:
        names = [*memory.along]
        if random.random() < 0.5 and (names or machine.elements > 1):
            names.append("lanes")  # a memory of the only element's own is one along any axis
        memories.append(replace(memory, along=tuple(random.sample(names, len(names)))))
    machine = replace(machine, memories=tuple(memories), axes=(*machine.axes, lanes))
    again = replace(case, machine=machine)
    assert counted(again) == counted(case)
    one, two = (
        evaluate(Candidates.of(c.problem, c.machine, c.schedule), WIDTHS) for c in (case, again)
    )
    assert np.array_equal(one.cycles, two.cycles)
    assert np.array_equal(one.picojoules, two.picojoules)
