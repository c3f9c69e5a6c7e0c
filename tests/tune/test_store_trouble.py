"""Bad files, full disks, missing rights: one clear paragraph, and nothing lost."""

import os
import random
import resource
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from codesign.errors import StoreError
from codesign.tune.exchange import records
from codesign.tune.store import Store
from codesign.tune.summary import summary
from tests.tune.processes import elsewhere, intact
from tests.tune.samples import DEVICE, TASK, fill, trial


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def foreign(path: Path) -> None:
    change(path, "CREATE TABLE thesis (chapter TEXT)")


def marked(path: Path) -> None:
    change(path, "PRAGMA application_id = 252006674")


def newer(path: Path) -> None:
    Store(path).close()
    change(path, "PRAGMA user_version = 2", "ALTER TABLE trial RENAME TO measurement")


def without_table(path: Path) -> None:
    Store(path).close()
    change(path, "DROP TABLE trial")


def truncated(path: Path) -> None:
    fill(Store(path), *map(trial, range(50))).close()
    os.truncate(path, path.stat().st_size - 5000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (foreign, ("of another program", "left as it is")),
        (marked, ("of another program", "left as it is")),
        (newer, ("schema 2, this one knows 1", "update codesign")),
        (without_table, ("damaged", "no table trial")),
        (truncated, ("damaged", "--salvage")),
        (lambda path: path.write_text("a"), ("is no tuning database",)),
        (lambda path: path.write_text("op,time\n" * 4000), ("is no tuning database",)),
        (lambda path: path.write_bytes(bytes(8192)), ("is no tuning database",)),
        (lambda path: path.mkdir(), ("is a folder",)),
        (lambda path: os.mkfifo(path), ("a device",)),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_files_that_are_no_tuning_database_are_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], words: tuple[str, ...], write: bool
) -> None:
    path = tmp_path / "x.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError) as caught, Store(path, write=write) as store:
        store.trials()
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    assert all(word in message for word in words), message
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.db"]


def test_an_empty_file_is_taken_to_write_and_refused_to_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        Store(path, write=False)
    fill(Store(path), trial()).close()
    assert Store(path, write=False).trials() == [trial()]


def test_no_damage_leads_to_anything_but_a_message_or_what_was_stored(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    kept = [trial(number, 0.001 * (number + 1)) for number in range(60)]
    fill(Store(whole), *kept).close()
    content = whole.read_bytes()
    stored, refused = {one.digest for one in kept}, 0
    chance = random.Random(5)
    for case in range(80):
        path = tmp_path / f"{case}.db"
        path.write_bytes(damage(content, chance))
        try:
            assert digests(path) <= stored
        except StoreError as error:
            refused += str(path) in str(error)
    assert 30 < refused < 80


def digests(path: Path) -> set[str]:
    """Of all trials that any question is answered with."""
    with Store(path, write=False) as store:
        found = store.trials()
        best = store.best(TASK.key, DEVICE.key, None)
        assert [record.trial for record in records(store)] == found
        assert sum(line.trials for line in summary(store)) <= store.counts().trials
        store.tried(TASK.key, DEVICE.key, "conv-direct", "1")
        return {one.digest for one in [*found, *([best] if best else [])]}


def damage(content: bytes, chance: random.Random) -> bytes:
    """Cut off, changed in some bytes, or with a block of zeros."""
    data, start = bytearray(content), chance.randrange(len(content))
    kind = chance.randrange(3)
    if kind == 0:
        return bytes(data[:start])
    if kind == 1:
        data[start : start + 512] = bytes(len(data[start : start + 512]))
    for _ in range(chance.choice([1, 20]) if kind == 2 else 0):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def test_a_trial_that_was_changed_from_outside_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(1, 0.5), trial(2, 0.25)).close()
    change(path, "UPDATE trial SET seconds = 0.01, low = 0.01 WHERE id = 1")
    with Store(path) as store:
        with pytest.raises(StoreError, match="trial 1 is not as it was written"):
            store.best(TASK.key, DEVICE.key, None)
        with pytest.raises(StoreError, match="trial 1 is not"):
            store.trials()
        change(path, "UPDATE trial SET seconds = 'soon' WHERE id = 1")
        with pytest.raises(StoreError, match="trial 1 has no sensible time"):
            store.best(TASK.key, DEVICE.key, None)
        change(path, "UPDATE task SET text = 'x'", "UPDATE device SET fingerprint = '{}'")
        for ask in (store.tasks, store.devices):
            with pytest.raises(StoreError, match="is not as it was written"):
                ask()


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with Store(path) as store:
        fill(store, trial(0))
        ((pages,),) = store._connection.read("PRAGMA page_count")
        store._connection.read(f"PRAGMA max_page_count = {pages + 2}")
        added = [0]

        def add(number: int) -> None:
            store.add(trial(number, message="x" * 200))
            added.append(number)

        with pytest.raises(StoreError, match=r"the disk is full.*finished trials count"):
            deque(map(add, range(1, 1000)))
        assert [dict(one.point)["tile"] for one in store.trials()] == added
        store._connection.read("PRAGMA max_page_count = 100000")
        store.add(trial(1000))
    assert len(added) > 3 and intact(path)


def test_a_limit_on_file_sizes_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    fill(Store(path), trial(0)).close()

    def add_until_it_fails() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        with Store(path) as store:
            number = 1
            try:
                while number < 1000:
                    store.add(trial(number, message="x" * 2000))
                    number += 1
            except StoreError as error:
                assert store.counts().trials == number, "still readable"
                return f"{number} {error}"
        return "never"

    count, _, message = elsewhere(add_until_it_fails).partition(" ")
    assert "cannot be written" in message or "cannot be read or written" in message
    assert int(count) > 3 and Store(path, write=False).counts().trials == int(count)
    assert intact(path)


@pytest.fixture
def kept() -> Iterator[Path]:
    """A store with a trial, in a folder that anybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "open", "x.db")
        fill(Store(path), trial(1)).close()
        path.parent.chmod(0o777)
        path.chmod(0o666)
        yield path


def add_and_read(path: Path) -> str:
    with Store(path) as store:
        assert store.trials() == [trial(1)]
        assert store.best(TASK.key, DEVICE.key, None) == trial(1)
        store.add(trial(2))
    return "added"


@pytest.mark.parametrize(
    ("file", "folder", "words"),
    [
        (0o444, 0o777, ("can only be read here", "make the file and its folder writable")),
        (0o666, 0o555, ("can only be read here", "make the file and its folder writable")),
        (0o444, 0o555, ("can only be read here",)),
    ],
)
def test_without_the_right_to_write_reading_works(
    kept: Path, file: int, folder: int, words: tuple[str, ...]
) -> None:
    kept.chmod(file)
    kept.parent.chmod(folder)
    told = elsewhere(lambda: add_and_read(kept), nobody=True)
    kept.parent.chmod(0o777)
    assert told.startswith("StoreError") and str(kept) in told
    assert all(word in told for word in words), told
    assert Store(kept, write=False).trials() == [trial(1)]


def test_without_the_right_to_read_that_is_said(kept: Path) -> None:
    kept.chmod(0o000)
    assert "check the permissions" in elsewhere(lambda: add_and_read(kept), nobody=True)
    kept.chmod(0o666)
    kept.parent.chmod(0o000)
    told = elsewhere(lambda: add_and_read(kept), nobody=True)
    kept.parent.chmod(0o777)
    assert told.startswith("StoreError") and "ermission" in told


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot open tuning database"):
        Store(tmp_path / "file" / "x.db")


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    store = fill(Store(tmp_path / "x.db"), trial(1))
    (tmp_path / "x.db").unlink()
    with pytest.raises(StoreError, match="was moved or deleted while it was open"):
        store.add(trial(2))
    assert store.trials() == [trial(1)]


@pytest.mark.parametrize("name", ["a b?mode=ro#x%20.db", "é—ü.db", "-x.db", "?", "a\nb"])
def test_odd_file_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Store(name), trial(1)).close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert Store(Path(name), write=False).trials() == [trial(1)]
