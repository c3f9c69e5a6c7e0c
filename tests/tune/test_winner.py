"""Which of several won duels compiling goes by, and that pruning keeps it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.ir.program import Point
from codesign.runtime.host import device
from codesign.tune.exchange import merge
from codesign.tune.journal import Journal, StoredRecords, winner
from codesign.tune.prune import Rule, prune
from codesign.tune.store import Store
from codesign.tune.trial import Device, Record, Task, Trial, faster_than
from tests.tune.samples import point, trial
from tests.tune.small_task import TARGET, task


def won(number: int, ratio: float, seconds: float, over: int | None = None, **more: Any) -> Trial:
    """Point `number` beat point `over`; None: a store of before this was kept."""
    beaten = "" if over is None else faster_than("conv-direct", "1", point(over))
    return trial(number, seconds, ratio=ratio, message=beaten, **more)


def used(*trials: Trial) -> int | None:
    found = winner(trials)
    return None if found is None else next(n for n in range(20) if found.point == point(n))


def test_without_a_duel_nobody_wins() -> None:
    assert used() is None and used(trial(1, 0.1), trial(2, None)) is None


def test_over_the_same_incumbent_the_lower_ratio_wins_whatever_the_clock_did() -> None:
    strong, weak = won(1, 0.5, 2.0, over=0), won(2, 0.9, 1.0, over=0)
    assert used(strong, weak) == used(weak, strong) == 1


def test_what_beat_a_winner_wins_in_any_order_of_storing() -> None:
    first, second = won(1, 0.5, 1.0, over=0), won(2, 0.95, 1.3, over=1)
    assert used(first, second) == used(second, first) == 2
    between = won(3, 0.48, 0.9, over=0)
    assert used(first, second, between) == 2 and used(first, between) == 3


def test_an_incumbent_that_comes_back_wins_again() -> None:
    assert used(won(1, 0.8, 1.0, over=0), won(0, 0.9, 1.1, over=1)) == 0
    assert used(won(1, 0.8, 1.0, over=0), won(0, 0.9, 1.1, over=1), won(1, 0.9, 1.2, over=0)) == 1


def test_over_different_incumbents_the_time_decides() -> None:
    for first, second in ((0, 9), (None, None), (None, 0)):
        fast, slow = won(1, 0.9, 1.0, over=first), won(2, 0.5, 1.5, over=second)
        assert used(fast, slow) == used(slow, fast) == 1


def test_what_ever_gave_wrong_numbers_does_not_win() -> None:
    bad = trial(1, None, status="wrong")
    assert used(won(1, 0.5, 1.0, over=0), won(2, 0.9, 1.0, over=0), bad) == 2


Kept = tuple[Task, list[Trial], list[tuple[str, Point]]]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Two stores, a.db and b.db, with a winner each; the second is the third fastest trial."""
    with Store(tmp_path / "c.db") as store:
        journal = Journal(store, TARGET, device())
        stored, versions, key = journal.stored(task()), journal.versions, journal.device.key
    choices = list(task().candidates(TARGET))[:6]
    more = {"task": stored.key, "device": key}
    found = [
        trial(0, 0.1 + i, kernel=kernel, version=versions[kernel], point=schedule, **more)
        for i, (kernel, schedule) in enumerate(choices)
    ]
    return stored, found, choices


def save(path: Path, stored: Task, *trials: Trial) -> None:
    with Store(path) as store:
        store.add_all([Record(stored, Device(device()), one) for one in trials])


def best(path: Path, stored: Task) -> Point | None:
    with Store(path, write=False) as store:
        known = StoredRecords(store, TARGET, device()).best(stored.text)
    return None if known is None else known.point


def test_pruning_keeps_what_won(tmp_path: Path, kept: Kept) -> None:
    stored, trials, _ = kept
    same = [one for one in trials if one.kernel == trials[0].kernel]
    assert len(same) > 2

    winning = replace(same[2], ratio=0.7)
    save(tmp_path / "a.db", stored, *trials, winning)
    assert best(tmp_path / "a.db", stored) == winning.point
    with Store(tmp_path / "a.db") as store:
        assert prune(store, Rule(keep=1)).slower > 0
        assert prune(store, Rule(keep=1, failed=True)).dropped == 0
    assert best(tmp_path / "a.db", stored) == winning.point


def test_merging_takes_the_better_winner_of_both(tmp_path: Path, kept: Kept) -> None:

    stored, trials, _ = kept
    strong, weak = replace(trials[0], ratio=0.5), replace(trials[3], ratio=0.95)
    save(tmp_path / "a.db", stored, *trials, strong)
    save(tmp_path / "b.db", stored, *trials, weak)
    for into, source in (("a.db", "b.db"), ("b.db", "a.db")):
        with Store(tmp_path / into) as store:
            merge(store, tmp_path / source)
        assert best(tmp_path / into, stored) == strong.point
