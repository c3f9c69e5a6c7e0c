from itertools import product
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.passes.quantize.limit import Limit
from codesign.passes.quantize.programme import Goal, Option, Programme, Tie, solve

WIDTHS = (2, 4, 8)
numbers = st.integers(0, 50).map(float)
keys = st.lists(st.sampled_from(list(product(WIDTHS, WIDTHS))), min_size=1, max_size=4, unique=True)


@st.composite
def programmes(draw: st.DrawFn) -> Programme:
    """Up to five items of up to four options, and up to two ties."""
    items = tuple(
        tuple(Option(key, draw(numbers), draw(numbers)) for key in draw(keys))
        for _ in range(draw(st.integers(1, 5)))
    )
    members = st.lists(st.integers(0, len(items) - 1), min_size=2, max_size=3, unique=True)
    count = draw(st.integers(0, 2)) if len(items) > 1 else 0
    ties = tuple(Tie(tuple(draw(members)), draw(st.integers(0, 1))) for _ in range(count))
    return Programme(items, ties)


def brute_force(programme: Programme, minimise: Goal, bound: float) -> float | None:
    """The least sum over all choices that keep ties and bound."""
    other: Goal = "error" if minimise == "cost" else "cost"
    sums = []
    for chosen in product(*(range(len(item)) for item in programme.items)):
        keys = [item[k].key for item, k in zip(programme.items, chosen, strict=True)]
        tied = all(len({keys[i][tie.part] for i in tie.items}) == 1 for tie in programme.ties)
        if tied and programme.total(chosen, other) <= bound:
            sums.append(programme.total(chosen, minimise))
    return min(sums, default=None)


@settings(max_examples=60)
@given(programmes(), st.sampled_from(["cost", "error"]), st.integers(0, 150) | st.just(inf))
def test_the_programme_equals_brute_force(
    programme: Programme, minimise: Goal, bound: float
) -> None:
    want = brute_force(programme, minimise, bound)
    found = solve(programme, minimise, bound)
    assert (found is None) == (want is None)
    if found is not None and want is not None:
        assert programme.total(found, minimise) == want
        other: Goal = "error" if minimise == "cost" else "cost"
        assert programme.total(found, other) <= bound
        for tie in programme.ties:
            chosen = {programme.items[i][found[i]].key[tie.part] for i in tie.items}
            assert len(chosen) == 1


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_errors_of_many_magnitudes_lose_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    items = []
    for _ in range(5):
        size, noise = 10 ** random.uniform(3, 7), 10 ** random.uniform(-9, 3)
        items.append(
            tuple(Option((w, w), size * w, noise * 4.0**-w * random.uniform(1, 2)) for w in WIDTHS)
        )
    programme = Programme(tuple(items))
    bound = programme.total((1,) * 5, "cost") * random.uniform(0.7, 1.4)
    want, found = brute_force(programme, "error", bound), solve(programme, "error", bound)
    assert found is not None and want is not None
    assert programme.total(found, "error") <= want * (1 + 1e-6)
    assert programme.total(found, "cost") <= bound * (1 + 1e-9)


@given(st.floats(0.2, 5.0), st.floats(0.5, 2.0))
def test_the_limit_closes_in_on_a_bound_that_sums_miss(ratio: float, power: float) -> None:
    limit = Limit(1.0, 1.0)
    for _ in range(60):
        if not limit.learn(ratio * limit.asked**power):
            break
    assert limit.met > 0
    assert 0.95 <= ratio * limit.met**power <= 1.0


def test_a_limit_that_nothing_meets_is_loosened_as_far_as_it_goes() -> None:
    limit = Limit(1.0, 1.0)
    assert limit.loosen() and limit.asked == 2.0
    assert limit.learn(4.0) and 1.0 < limit.asked < 2.0
    assert not Limit(1.0, -1.0).loosen()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.booleans())
def test_neighbours_are_cheaper_within_the_bound_and_the_least_comes_first(
    seed: int, tied: bool
) -> None:
    from codesign.passes.quantize.neighbours import promising

    random = np.random.default_rng(seed)
    keys = list(product((2, 4), (2, 4)))
    items = tuple(
        tuple(
            Option(key, float(random.integers(1, 9)), float(random.integers(1, 9))) for key in keys
        )
        for _ in range(4)
    )
    here = Programme(items, (Tie((0, 2), 1),) if tied else ())
    every = [
        one for one in product(range(4), repeat=4) if not tied or keys[one[0]][1] == keys[one[2]][1]
    ]
    picked = every[int(random.integers(len(every)))]
    bound = here.total(picked, "error") + float(random.integers(0, 4))
    found = list(promising(here, picked, "cost", bound))
    totals = [here.total(one, "cost") for one in found]
    assert totals == sorted(totals)
    assert all(one in every and here.total(one, "error") <= bound for one in found)
    assert all(total < here.total(picked, "cost") for total in totals)
    for one in every:  # a change of one item, or of two that are not tied, is never left out
        apart = [i for i in range(4) if one[i] != picked[i]]
        small = len(apart) == 1 or (len(apart) == 2 and not tied)
        good = here.total(one, "cost") < here.total(picked, "cost")
        if small and good and here.total(one, "error") <= bound:
            assert one in found
