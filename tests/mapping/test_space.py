"""What a space of mappings knows of its cuts, and candidates of several orders at once."""

from itertools import product

import numpy as np
import pytest

from benchmarks.published import Shape
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.mixed import distinct
from codesign.cost.operands import Widths
from codesign.mapping.orders import orders
from codesign.mapping.rows import Rows
from codesign.mapping.space import Space
from tests.mapping.test_mapper import WIDTHS, machine

CONV = Shape(1, 16, 32, 12, 3, 1, 1).problem()


def space() -> Space:
    return Space(CONV, machine(4000, 64, 16), WIDTHS)


def test_a_pair_of_unrolling_and_tile_has_all_of_its_cuts() -> None:
    for loop, parts in space().parts.items():
        cuts = space().cuts[loop]
        for way, tile in product(range(len(parts.ways)), range(len(parts.tiles))):
            same = (cuts.factors == parts.ways[way]).all(axis=1)
            want = np.flatnonzero(same & (cuts.held[:, 0] == parts.tiles[tile]))
            have = np.arange(parts.start[way, tile], parts.stop[way, tile])
            assert have.tolist() == want.tolist(), loop


def sampled(count: int) -> Rows:
    here, random = space(), np.random.default_rng(1)
    found = Rows(CONV, here.machine, count, origin=np.zeros(count, np.int64))
    for cuts in here.cuts.values():
        found = found.with_cuts(cuts, random.integers(0, len(cuts.factors), count))
    return found


def test_mixed_orders_cost_what_each_costs_alone() -> None:
    rows, loops = sampled(40), [loop for loop, _ in CONV.bounds]
    choices = [orders(CONV, loops), orders(CONV, loops), ((),)]
    every = list(product(*choices))
    costs = {o: evaluate(rows.candidates(o), Widths(8, 8, 16, 8)).picojoules for o in every}
    which, picks = distinct(rows.candidates(every[0]), choices)
    mixed = evaluate(rows.take(which).mixed(choices, picks), Widths(8, 8, 16, 8)).picojoules
    seen: dict[int, set[float]] = {row: set() for row in range(rows.count)}
    for number, row in enumerate(which):
        order = tuple(of[int(pick[number])] for of, pick in zip(choices, picks, strict=True))
        assert mixed[number] == costs[order][row]
        seen[int(row)].add(float(mixed[number]))
    for row, found in seen.items():  # orders that are left out are like one that is not
        assert found == {float(one[row]) for one in costs.values()}


def test_one_candidate_is_itself() -> None:
    rows = sampled(1)
    schedule = rows.schedule([[], [], []])
    alone = evaluate(Candidates.of(CONV, rows.machine, schedule), WIDTHS)
    assert alone.latency[0] == pytest.approx(
        evaluate(rows.candidates([[], [], []]), WIDTHS).latency[0]
    )
