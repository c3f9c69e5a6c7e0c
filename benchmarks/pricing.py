"""How many mappings of a layer the cost model prices in a second, on one core."""

from time import perf_counter

import numpy as np

from benchmarks.published import Shape
from codesign import plugins
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import evaluate
from codesign.cost.operands import Widths
from codesign.mapping.descent import sampled
from codesign.mapping.orders import orders
from codesign.mapping.space import Space

WIDTHS = Widths(16, 16, 16, 16)
LAYER = Shape(1, 64, 64, 56, 3, 1, 1)  # of ResNet-18's first stage


def mappings(count: int, seed: int = 0) -> Candidates:
    """`count` different mappings that fit, at random, of a convolution on Eyeriss."""
    problem, machine = LAYER.problem().padded(), plugins.make("target", "eyeriss").machine
    space = Space(problem, machine, WIDTHS)
    found = sampled(space, np.random.default_rng(seed), 60 * count)
    table = np.stack([found.kind[loop] for loop in space.cuts])
    _, first = np.unique(table, axis=1, return_index=True)
    rows = found.take(np.sort(first)[:count])
    return rows.candidates([orders(problem, space.loops(n))[0] for n in range(len(space.levels))])


def rate(count: int, repeats: int) -> tuple[float, int]:
    """(mappings a second, how many at a time): a fast one of `repeats` fresh pricings."""
    one = mappings(count)
    seconds = []
    for _ in range(repeats):
        fresh = Candidates(one.problem, one.machine, one.count, one.factors, one.held, one.orders)
        start = perf_counter()
        evaluate(fresh, WIDTHS)
        seconds.append(perf_counter() - start)
    return one.count / float(np.quantile(seconds, 0.1)), one.count
