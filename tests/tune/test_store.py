"""What goes into a store comes out again; which trial is best."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import StoreError, UsageError
from codesign.tune import default_path
from codesign.tune.ranking import ranked
from codesign.tune.store import Store
from codesign.tune.trial import Trial
from tests.tune.processes import elsewhere
from tests.tune.samples import DEVICE, FAR, OTHER, TASK, fill, point, record, trial
from tests.tune.strategies import trials

VERSIONS = {"conv-direct": "1"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "new" / "tuning.db")


@settings(max_examples=10)
@given(kept=st.lists(trials(), max_size=6))
def test_trials_come_back_in_the_order_of_adding(
    kept: list[Trial], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("store") / "x.db"
    once = list({one.digest: one for one in kept}.values())
    with Store(path) as store:
        assert store.add_all([record(one) for one in kept]) == len(once)
    with Store(path, write=False) as store:
        assert store.trials() == once
        assert store.trials(TASK.key, FAR.key) == [
            one for one in once if (one.task, one.device) == (TASK.key, FAR.key)
        ]
        assert {task.key for task in store.tasks()} == {one.task for one in once}
        assert {device.key for device in store.devices()} == {one.device for one in once}
        counts = store.counts()
        assert counts.trials == len(once)
        assert counts.by_status["hung"] == sum(one.status == "hung" for one in once)


def test_adding_one_by_one(store: Store) -> None:
    store.add_task(TASK)
    store.add_task(TASK)
    store.add_device(DEVICE)
    store.add_device(DEVICE)
    assert store.add(trial(1))
    assert not store.add(trial(1)), "the very same trial is one trial"
    assert store.add(trial(1, at="2031-01-01")), "another measurement of the point is kept"
    assert store.tasks() == [TASK] and store.devices() == [DEVICE]
    assert [one.at for one in store.trials()] == ["2031-02-03T04:05:06.789+00:00", "2031-01-01"]
    assert store.trials(kernel="conv-other") == []


def test_a_trial_needs_its_task_and_device(store: Store) -> None:
    store.add_task(TASK)
    with pytest.raises(StoreError, match="add_device"):
        store.add(trial())
    assert store.trials() == []
    store.add_device(DEVICE)
    store.add(trial())


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert (store.trials(), store.tasks(), store.devices()) == ([], [], [])
    assert store.best(TASK.key, DEVICE.key, None) is None
    assert store.tried(TASK.key, DEVICE.key, "conv-direct", "1") == set()
    assert store.counts().trials == 0


def test_best_is_the_fastest_of_task_device_and_current_versions(store: Store) -> None:
    slow, fast = trial(1, 0.5), trial(2, 0.4)
    stale, gone = trial(3, 0.3, version="0"), trial(4, 0.2, kernel="conv-gone")
    near, far = trial(5, 0.1, task=OTHER.key), trial(6, 0.1, device=FAR.key)
    fill(store, slow, fast, stale, gone, near, far, trial(7, None))
    assert store.best(TASK.key, DEVICE.key, VERSIONS) == fast
    assert store.best(TASK.key, DEVICE.key, {"conv-direct": "0"}) == stale
    assert store.best(TASK.key, DEVICE.key, None) == gone
    assert store.best(TASK.key, DEVICE.key, {}) is None
    assert store.best(OTHER.key, DEVICE.key, None) == near
    assert store.best(TASK.key, FAR.key, None) == far


def test_one_lucky_measurement_does_not_win(store: Store) -> None:
    lucky = [trial(1, 0.1), trial(1, 0.5), trial(1, 0.4)]
    steady = [trial(2, 0.3), trial(2, 0.31)]
    fill(store, lucky[0], *steady)
    assert store.best(TASK.key, DEVICE.key, None) == lucky[0]
    fill(store, lucky[1])
    assert store.best(TASK.key, DEVICE.key, None) == steady[1], "of two the slower counts"
    fill(store, lucky[2], trial(1, 0.2), trial(1, 0.15))
    assert store.best(TASK.key, DEVICE.key, None) == trial(1, 0.2), "the median of five"


def test_a_point_that_gave_wrong_numbers_is_never_best(store: Store) -> None:
    fill(store, trial(1, 0.1), trial(2, 0.2), trial(1, None, status="wrong"))
    assert store.best(TASK.key, DEVICE.key, None) == trial(2, 0.2)
    fill(store, trial(1, 0.1, at="2032-01-01"), trial(2, None, status="killed"))
    assert store.best(TASK.key, DEVICE.key, None) == trial(2, 0.2)


def test_equally_fast_points_rank_in_the_order_of_adding(store: Store) -> None:
    fill(store, trial(9), trial(1), trial(5))
    assert store.best(TASK.key, DEVICE.key, None) == trial(9)


def test_a_clock_that_jumps_back_changes_nothing(store: Store) -> None:
    kept = [trial(n, 0.5 + n, at=f"{2040 - n}-01-01T00:00:00+00:00") for n in range(4)]
    fill(store, *kept)
    assert store.trials() == kept
    assert store.best(TASK.key, DEVICE.key, None) == kept[0]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.2, 0.3])), max_size=9))
def test_ranking_agrees_with_its_definition(measured: list[tuple[int, float]]) -> None:
    from codesign.tune.ranking import Entry

    entries = [Entry(i, "t", "d", "k", "1", str(p), "ok", s) for i, (p, s) in enumerate(measured)]
    want = {}
    for number in {p for p, _ in measured}:
        times = sorted(s for p, s in measured if p == number)
        want[str(number)] = next(t for t in times if sum(s <= t for s in times) > len(times) / 2)
    found = ranked(entries)
    assert {entry.point: entry.seconds for entry in found} == want
    assert [entry.seconds for entry in found] == sorted(want.values())


def test_tried_are_all_points_of_that_version_whatever_came_of_them(store: Store) -> None:
    fill(store, trial(1), trial(1, 0.7), trial(2, None, status="hung"), trial(3, version="2"))
    assert store.tried(TASK.key, DEVICE.key, "conv-direct", "1") == {point(1), point(2)}
    assert store.tried(TASK.key, DEVICE.key, "conv-direct", "2") == {point(3)}
    assert store.tried(TASK.key, FAR.key, "conv-direct", "1") == set()


def test_a_store_that_is_only_read_is_not_made_and_not_changed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Store(tmp_path / "x.db", write=False)
    assert list(tmp_path.iterdir()) == []
    fill(Store(tmp_path / "x.db"), trial()).close()
    before = (tmp_path / "x.db").read_bytes()
    with Store(tmp_path / "x.db", write=False) as store:
        with pytest.raises(StoreError, match="for reading only"):
            store.add(trial(1))
        with pytest.raises(StoreError, match="for reading only"):
            store.forget(lambda entries: [entry.id for entry in entries])
        assert store.trials() == [trial()]
    assert (tmp_path / "x.db").read_bytes() == before


def test_closed_stores_and_those_of_another_process_say_so(tmp_path: Path) -> None:
    store = fill(Store(tmp_path / "x.db"), trial())
    told = elsewhere(lambda: str(store.trials()))
    assert told.startswith("StoreError") and "open it again here" in told
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.trials()


def test_nothing_is_kept_of_a_merge_that_breaks_off(store: Store) -> None:
    fill(store, trial(0))
    broken = record(trial(2))._replace(trial=trial(2, device="unknown"))
    with pytest.raises(StoreError):
        store.add_all([record(trial(1, task=OTHER.key)), broken])
    assert store.trials() == [trial(0)] and store.tasks() == [TASK]
    store.add(trial(3))


def test_numbers_of_dropped_trials_are_not_given_again(store: Store) -> None:
    fill(store, trial(1), trial(2))
    last = store.entries()[-1].id
    assert store.forget(lambda entries: [entry.id for entry in entries]) == 2
    fill(store, trial(3))
    assert store.entries()[0].id > last


def test_every_commit_reaches_the_disk(store: Store) -> None:
    (synchronous,) = store._connection.read("PRAGMA synchronous")
    (journal,) = store._connection.read("PRAGMA journal_mode")
    assert (synchronous, journal) == ((3,), ("delete",))
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CODESIGN_RECORDS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".cache/codesign/tuning.db"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_path() == tmp_path / ".cache/codesign/tuning.db"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_path() == Path("/cache/codesign/tuning.db")
    monkeypatch.setenv("CODESIGN_RECORDS", "~/mine.db")
    assert default_path() == tmp_path / "mine.db"
