"""The sign test, against counting, and against what noise does."""

from itertools import product

import numpy as np
import pytest

from codesign.tune.duel import SIGNIFICANCE, Duel, sign_test


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_equals_counting_all_outcomes(count: int) -> None:
    for won in range(count + 1):
        first = tuple(1.0 if i < won else 3.0 for i in range(count))
        as_many = sum(sum(signs) >= won for signs in product((0, 1), repeat=count))
        assert sign_test(first, (2.0,) * count) == as_many / 2**count


def test_equal_rounds_count_for_nobody() -> None:
    assert sign_test((1.0, 2.0, 2.0), (2.0, 2.0, 2.0)) == 0.5
    assert sign_test((2.0,), (2.0,)) == 1.0


def test_noise_wins_as_rarely_as_it_says() -> None:
    random = np.random.default_rng(0)
    won = sum(
        Duel(tuple(random.normal(1, 0.1, 40)), tuple(random.normal(1, 0.1, 40))).won
        for _ in range(2000)
    )
    assert won <= 2000 * SIGNIFICANCE * 1.5


def test_five_per_cent_are_seen_through_ten_per_cent_of_noise() -> None:
    random = np.random.default_rng(0)
    duel = Duel(tuple(random.normal(0.9, 0.05, 40)), tuple(random.normal(1, 0.05, 40)))
    assert duel.won and 0.85 < duel.ratio < 0.95
    assert not Duel(duel.second, duel.first).won
    assert not Duel(message="crashed").won
