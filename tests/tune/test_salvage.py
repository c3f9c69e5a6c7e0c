"""What is still read of a damaged store: as much as is as it was, and nothing else."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from codesign.errors import DamagedStoreError, StoreError, UsageError
from codesign.tune.exchange import print_record, records
from codesign.tune.prune import Rule, prune
from codesign.tune.salvage import salvage
from codesign.tune.store import Store
from codesign.tune.summary import summary
from tests.tune.samples import OTHER, fill, record, trial

KEPT = [trial(number, 0.001 * (number + 1)) for number in range(200)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(Store(tmp_path / "x.db"), *KEPT).close()
    return tmp_path / "x.db"


def test_of_a_whole_store_everything(path: Path) -> None:
    with Store(path) as store:
        store.forget(lambda entries: [entry.id for entry in entries[::3]])
        assert salvage(path) == (records(store), 0)


def test_of_a_store_that_was_cut_off_most_of_the_rest(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096 * 3)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
    found, lost = salvage(path)
    assert len(found) >= 100 and lost > 0 and len(found) + lost == 200
    assert {one.trial.digest for one in found} <= {one.digest for one in KEPT}
    assert path.read_bytes() == before


def test_of_a_store_with_one_bad_page_nearly_all_others(path: Path) -> None:
    """But for the few pages that everything hangs on: the only task, the root of a table."""
    content, found = path.read_bytes(), []
    for start in range(4096, len(content), 4096):
        noise = random.Random(start).randbytes(4096)
        bad = path.with_name(f"{start}.db")
        bad.write_bytes(content[:start] + noise + content[start + 4096 :])
        found.append(saved(bad))
    assert len(found) > 20
    assert sum(count >= 170 for count in found) >= len(found) - 4, found


def saved(path: Path) -> int:
    """How many trials are salvaged; all of them as they were."""
    try:
        found, _ = salvage(path)
    except StoreError:
        return 0
    assert {one.trial.digest for one in found} <= {one.digest for one in KEPT}
    return len(found)


def test_trials_whose_task_is_lost_are_lost(path: Path) -> None:
    fill(Store(path), trial(0, task=OTHER.key)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE task SET text = 'changed' WHERE key = ?", (OTHER.key,))
        db.execute("UPDATE trial SET seconds = 0.0001, low = 0.0001 WHERE id = 7")
    found, lost = salvage(path)
    assert lost == 2 and [one.trial for one in found] == [*KEPT[:6], *KEPT[7:]]


def test_of_an_exported_file_all_good_lines(tmp_path: Path) -> None:
    lines = [print_record(record(trial(number))) for number in range(3)]
    lines[1] = lines[1][:50]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    found, lost = salvage(tmp_path / "x.jsonl")
    assert [one.trial for one in found] == [trial(0), trial(2)] and lost == 1


def test_what_is_no_store_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        salvage(tmp_path / "none")
    with closing(sqlite3.connect(tmp_path / "y.db")) as db:
        db.execute("CREATE TABLE thesis (chapter TEXT)")
    with pytest.raises(StoreError, match="of another program"):
        salvage(tmp_path / "y.db")
    path.write_bytes(path.read_bytes()[:16] + bytes(5000))
    with pytest.raises(StoreError):
        salvage(path)


@pytest.mark.parametrize("size", [50, 1000, 4096, 4097, 20000])
def test_where_nothing_is_left_that_is_said_and_salvaging_not_advised(
    path: Path, size: int
) -> None:
    os.truncate(path, size)
    with pytest.raises(StoreError) as caught:
        salvage(path)
    assert str(path) in str(caught.value) and "--salvage" not in str(caught.value)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


@pytest.mark.parametrize("table", ["device", "task", "trial"])
def test_without_a_table_nothing_can_be_saved(path: Path, table: str) -> None:
    change(path, f"DROP TABLE {table}")
    with pytest.raises(DamagedStoreError, match=r"nothing can be saved of .* Use a copy") as caught:
        salvage(path)
    assert "--salvage" not in str(caught.value)


@pytest.mark.parametrize("content", [b"op,time\n" * 90, random.Random(1).randbytes(9000)])
def test_what_never_held_a_trial_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(StoreError, match=r"is neither a tuning database nor .* lines is a trial"):
        salvage(tmp_path / "x")


def one_bad_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-8192:-4096] = random.Random(2).randbytes(4096)
    path.write_bytes(content)


def one_changed_row(path: Path) -> None:
    change(path, "UPDATE trial SET seconds = 0.01, low = 0.01 WHERE id = 1")


@pytest.mark.parametrize("spoil", [one_bad_page, one_changed_row])
def test_of_a_damaged_store_nothing_is_listed_and_nothing_dropped(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    before = path.read_bytes()
    with Store(path) as store:
        for ask in (
            lambda: summary(store),
            lambda: prune(store, Rule(keep=1)),
            lambda: prune(store, Rule(keep=1), dry_run=True),
        ):
            with pytest.raises(DamagedStoreError, match=r"is damaged .* --salvage"):
                ask()
    assert path.read_bytes() == before
    found, lost = salvage(path)
    assert found and lost


def test_tables_of_other_columns_are_damage(path: Path) -> None:
    change(path, "ALTER TABLE trial RENAME COLUMN point TO place")
    with Store(path) as store, pytest.raises(DamagedStoreError, match=r"no such column.*--salvage"):
        store.trials()
