"""The search over one task, with times that are made up."""

from math import inf, log

import numpy as np
import pytest

from codesign.ir.program import Point
from codesign.tune.budget import Account, choose
from codesign.tune.learned import Learned
from codesign.tune.search import Search
from tests.tune.small_task import TARGET, task


def made_up(kernel: str, point: Point) -> float:
    """Seconds that depend smoothly on the schedule."""
    values = [float(v) for _, v in point if isinstance(v, int | float)]
    return 1e-3 * (1.0 + (kernel != task().start[0]) + sum((log(1 + v) - 1) ** 2 for v in values))


def explore(seed: int, trials: int) -> Search:
    search, model = Search(task(), TARGET, seed), Learned(seed)
    for _ in range(trials):
        choice = search.next(model)
        if choice is None:
            break
        search.done(choice, made_up(*choice))
        done = list(search.tried.items())
        rows = [search.features(c) for c, _ in done]
        model.train(rows, [s for _, s in done], [search.task.operations] * len(done))
    return search


def test_every_candidate_is_proposed_once_and_then_none() -> None:
    search = explore(0, 10_000)
    assert set(search.tried) == set(search.candidates)
    assert search.next(Learned()) is None


def test_the_start_is_measured_first() -> None:
    search = Search(task(), TARGET, 0)
    assert search.next(Learned()) == task().start


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_learned_model_finds_the_best_in_half_of_the_space(seed: int) -> None:
    search = explore(seed, max(40, len(Search(task(), TARGET, 0).candidates) // 2))
    best = min(made_up(*choice) for choice in search.candidates)
    assert search.best[0] <= best * 1.05


def test_failures_are_never_best() -> None:
    search = Search(task(), TARGET, 0)
    choices = [search.next(Learned()) for _ in range(2)]
    assert choices[0] is not None and choices[1] is not None
    search.done(choices[0], inf)
    assert search.best[1] is None and search.challengers(3) == []
    search.done(choices[1], 1.0)
    assert search.best == (1.0, choices[1])
    assert search.challengers(3) == [choices[1]]


def test_the_model_learns_an_order() -> None:
    model = Learned()
    rows = [{"x": float(i)} for i in range(60)]
    model.train(rows, [1e-3 * (1 + i) for i in range(60)], [1] * 60)
    found = model.predict([{"x": 3.0}, {"x": 30.0}, {"x": 57.0}])
    assert np.all(np.diff(found) > 0)


def test_few_rows_teach_nothing() -> None:
    model = Learned()
    model.train([{"x": 1.0}], [1.0], [1])
    assert not model.ready


def test_trials_go_where_time_is_and_improvement_is_hoped_for() -> None:
    slow, fast = (Account(Search(task(), TARGET, seed)) for seed in (0, 1))
    assert choose([slow, fast]) is slow
    slow.search.done(task().start, 2.0)
    fast.search.done(task().start, 1.0)
    assert choose([slow, fast]) is slow
    for _ in range(20):
        slow.note(2.0, 2.0)
    assert choose([slow, fast]) is fast
