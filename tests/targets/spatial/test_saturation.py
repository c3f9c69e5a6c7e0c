"""Accumulators that are too narrow, against adding one product after the other."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.cost.operands import Widths
from codesign.cost.schedule import Schedule
from codesign.machine.machine import Axis, Datapath, Machine, Memory
from codesign.targets.spatial.simulate.operands import Operands
from codesign.targets.spatial.simulate.run import simulate
from tests.cost.test_evaluate import product as matmul
from tests.cost.test_traffic import mapped
from tests.cost.walk import Mapped
from tests.targets.spatial.test_simulate import direct, operands

BITS = 11


def array(sums: bool) -> Machine:
    """An array whose rows spread a reduction, over elements that keep their sums."""
    memories = (
        Memory("outer", ("input", "weight", "output")),
        Memory("own", ("output",), along=("rows", "columns"), reload=True),
    )
    axes = (Axis("rows", 3, ("c",), sums=sums), Axis("columns", 2, ("m",)))
    return Machine("m", 1e6, memories, axes, Datapath(accumulator=BITS))


def one_by_one(x: Any, w: Any, own: int, rows: int, sums: bool) -> tuple[Any, int]:
    """Each element adds `own` products, rows add up along the axis or where they arrive."""
    (n, depth), m = x.shape, w.shape[0]
    top, count = 2 ** (BITS - 1) - 1, 0

    def add(a: int, b: int) -> int:
        nonlocal count
        found: int = min(top, max(-top - 1, a + b))
        count += found != a + b
        return found

    out = np.zeros((n, m), np.int64)
    for i, j in product(range(n), range(m)):
        for start in range(0, depth, own * rows):
            before = [int(out[i, j]) if row == 0 else 0 for row in range(rows)]
            for row in range(rows):
                first = start + row * own
                for c in range(first, min(first + own, depth, start + own * rows)):
                    before[row] = add(before[row], int(x[i, c]) * int(w[j, c]))
            total = before[0]
            for other in before[1:]:
                total = add(total, other)
            out[i, j] = total
    return out, count


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 17), st.integers(1, 4), st.integers(2, 3), st.booleans(), st.integers(0, 999))
def test_every_addition_in_its_order(
    depth: int, own: int, rows: int, sums: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x, w = random.integers(-16, 16, (3, depth)), random.integers(-16, 16, (4, depth))
    own = min(own, -(-depth // rows))
    schedule = Schedule(
        (("rows", (("c", rows),)), ("columns", (("m", 2),))),
        ((("c", own),),),
        (("n", "m", "c"), ("c",)),
    )
    problem = matmul(3, depth, 4)
    found = simulate(problem, array(sums), schedule, Widths(5, 5, BITS, 8), Operands(x, w))
    want, count = one_by_one(x, w, own, rows, sums)
    assert np.array_equal(found.sums, want)
    assert found.saturated == count


def test_partial_sums_that_do_not_fit_are_counted_and_kept() -> None:
    x, w = np.full((2, 6), 15), np.full((2, 6), 15)
    schedule = Schedule((("rows", (("c", 2),)),), ((("c", 1),),), (("c", "n", "m"), ("c",)))
    machine = replace(array(True), datapath=Datapath(accumulator=32))
    found = simulate(matmul(2, 6, 2), machine, schedule, Widths(5, 5, 10, 8), Operands(x, w))
    # 450, 900, 1350: two of three do not fit 10 bits
    assert found.narrow == 4 * 2
    assert (found.sums == 1350).all()
    assert found.saturated == 0


@settings(deadline=None, max_examples=25)
@given(mapped(), st.integers(0, 2**32))
def test_the_ordered_way_computes_the_same(case: Mapped, seed: int) -> None:
    """With sums just below what may saturate, whose bound says that they might."""
    given_codes = operands(case, seed)
    want = direct(case.problem, given_codes)
    magnitudes = replace(given_codes, weight=np.abs(given_codes.weight))
    bound = int(direct(case.problem, magnitudes).max())
    width = max(2, bound.bit_length() + 1)
    machine = replace(case.machine, datapath=Datapath(accumulator=width))
    widths = Widths(8, 8, width, 8)
    found = simulate(case.problem, machine, case.schedule, widths, given_codes)
    assert np.array_equal(found.sums, want)
    assert found.saturated == 0
