"""Several writers at once, and processes that are killed at any moment."""

import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codesign.errors import StoreError
from codesign.tune.store import Store
from tests.tune.processes import FORK, add_from, adding, everything, intact
from tests.tune.samples import DEVICE, TASK, fill, trial

KILLS = int(os.environ.get("CODESIGN_KILLS", "20"))
READY = 0.2


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory if there is one: to wait for no disk brings processes closer together."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def numbers(path: Path) -> list[object]:
    with Store(path, write=False) as store:
        return [dict(one.point)["tile"] for one in store.trials()]


def test_several_processes_add_to_one_file_and_nothing_is_lost(memory: Path) -> None:
    path = memory / "x.db"
    running = [adding(path, start, 100) for start in (0, 100, 200)]
    told = [everything(heard) for _, heard in running]
    for process, _ in running:
        process.join()
        assert process.exitcode == 0
    assert told == [list(range(start, start + 100)) for start in (0, 100, 200)]
    found = numbers(path)
    assert sorted(found, key=str) == sorted(range(300), key=str)
    for start in (0, 100, 200):  # each writer's trials are in its own order
        assert [n for n in found if n in range(start, start + 100)] == told[start // 100]
    assert intact(path)


def test_threads_share_a_store(tmp_path: Path) -> None:
    with Store(tmp_path / "x.db") as store:
        fill(store, trial(0))
        threads = [
            threading.Thread(target=lambda i=i: [store.add(trial(i * 9 + k)) for k in range(1, 9)])
            for i in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.counts().trials == 25


def test_killed_at_any_moment_nothing_that_was_told_is_lost(memory: Path) -> None:
    """Every other time the file is a new one, so that making it is interrupted too."""
    chance = random.Random()
    told: dict[Path, list[int]] = {}
    path = memory / "0.db"
    for kill in range(KILLS):
        if kill % 2:
            path = memory / f"{kill}.db"
        process, heard = adding(path, kill * 1000, 1000)
        if chance.random() < 0.7:
            heard.poll(5)  # it is adding now
        time.sleep(chance.random() * READY)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        told.setdefault(path, []).extend(everything(heard))
    assert sum(map(len, told.values())) > KILLS // 2, "they were killed before they did anything"
    for path, wanted in told.items():
        with Store(path) as store:
            store.add_task(TASK)
            store.add_device(DEVICE)
            store.add(trial(-1))
        found = numbers(path)
        assert len(found) == len(set(found))
        assert set(wanted) <= set(found) and found[-1] == -1
        assert intact(path)


def test_what_a_killed_writer_left_is_undone_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(1)).close()
    process = FORK.Process(target=leave_half_a_transaction, args=(path,))
    process.start()
    process.join()
    journal = Path(f"{path}-journal")
    assert journal.stat().st_size > 0
    assert numbers(path) == [1]
    assert not journal.exists() and intact(path)


def leave_half_a_transaction(path: Path) -> None:
    """Die with a part of the changes in the file already."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM trial")
    for key in range(500):
        db.execute("INSERT INTO task VALUES (?, 'conv', ?, 'cpu', 1)", (str(key), "x" * 500))
    os._exit(0)


def test_a_write_ahead_log_that_was_left_behind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(1)).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
    process = FORK.Process(target=add_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and Path(f"{path}-wal").stat().st_size > 0
    assert numbers(path) == [1, 2, 3] and intact(path)


def add_and_die(path: Path) -> None:
    store = Store(path)
    store.add(trial(2))
    store.add(trial(3))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_writer_that_hangs_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(1)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Store(path, patience=0.05) as store:
            assert store.trials() == [trial(1)], "who only reads does not wait"
            with pytest.raises(StoreError, match=r"locked by another process for 0\.05 s"):
                store.add(trial(2))
            other.execute("ROLLBACK")
            store.add(trial(2))
    assert numbers(path) == [1, 2]


def test_a_busy_file_is_tried_again_until_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(1)).close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    timer.start()
    with Store(path) as store:  # cannot even be read before
        store.add(trial(2))
    timer.join()
    other.close()
    assert numbers(path) == [1, 2]


def test_interrupts_leave_no_transaction_open(tmp_path: Path) -> None:
    store = fill(Store(tmp_path / "x.db"), trial(1))
    with pytest.raises(KeyboardInterrupt), store._connection.writing() as db:
        interrupt(db.execute("DELETE FROM trial"))
    store.add(trial(2))
    assert numbers(store.path) == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        store.forget(interrupt)
    assert numbers(store.path) == [1, 2]


def interrupt(entries: object) -> list[int]:
    raise KeyboardInterrupt


def test_the_child_of_these_tests_tells_what_it_adds(tmp_path: Path) -> None:
    heard, told = FORK.Pipe(duplex=False)
    add_from(tmp_path / "x.db", 5, 3, told)
    told.close()
    assert everything(heard) == numbers(tmp_path / "x.db") == [5, 6, 7]
