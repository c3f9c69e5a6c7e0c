"""What can still be read of a damaged store or exported file.

Trials carry digests, so what is read is as it was measured; what is not is only counted.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

from codesign.errors import DamagedStoreError, StoreError, UsageError
from codesign.tune.connection import Connection, Row
from codesign.tune.exchange import is_database, parse_record
from codesign.tune.rows import TASK, TRIAL, to_device, to_task, to_trial
from codesign.tune.trial import Device, Record, Task

Keyed = TypeVar("Keyed", Task, Device)
Found = Iterator[Record | None]


def salvage(path: str | Path) -> tuple[list[Record], int]:
    """The trials that can be read of the store or exported file `path`; how many cannot.

    UsageError if there is no such file, StoreError if it is something else or nothing can be read.
    """
    path = Path(path)
    try:
        found = list(_of_lines(path) if _is_text(path) else _of_file(path))
    except DamagedStoreError as error:
        raise _hopeless(path, str(error).partition(" and was left")[0]) from None
    records, lost = [record for record in found if record is not None], found.count(None)
    if lost and not records:
        if _is_text(path):
            raise StoreError(
                f"{path} is neither a tuning database nor what `codesign db export` wrote: none of "
                f"its {lost} lines is a trial"
            )
        raise _hopeless(path, f"none of its {lost} trials is whole, with its task and device")
    return records, lost


def _is_text(path: Path) -> bool:
    return path.is_file() and not is_database(path)


def _hopeless(path: Path, why: str) -> DamagedStoreError:
    return DamagedStoreError(
        f"nothing can be saved of {path}: {why}. Use a copy if there is one; `codesign tune` with "
        "the path of a new file starts anew"
    )


def _of_file(path: Path) -> Found:
    connection = Connection(path, write=False, lenient=True)
    try:
        yield from _of_store(connection)
    finally:
        connection.close()


def _of_lines(path: Path) -> Found:
    """A record for each line, None for those that are damaged."""
    with path.open("rb") as stream:
        for line in stream:
            try:
                if line.strip():
                    yield parse_record(line)
            except UsageError:
                yield None


def _of_store(connection: Connection) -> Found:
    """A record for each number that was ever given and not forgotten, None where damaged.

    One by one and without indexes, so that a damaged page takes only its own trials with it.
    """
    path = connection.path
    connection.read("SELECT id FROM trial LIMIT 0")  # the table must be there, whatever is in it
    task = _finder(connection, f"SELECT key, {', '.join(TASK)} FROM task", to_task)
    device = _finder(connection, "SELECT key, fingerprint FROM device", to_device)
    sql = f"SELECT id, digest, {', '.join(TRIAL)} FROM trial NOT INDEXED WHERE id = ?"
    for number in range(1, _last(connection) + 1):
        try:
            for row in connection.read(sql, number):
                trial = to_trial(row, path)
                yield Record(task(trial.task), device(trial.device), trial)
        except StoreError:
            yield None


def _last(connection: Connection) -> int:
    """The last number that was given."""
    try:
        ((last,),) = connection.read("SELECT max(seq) FROM sqlite_sequence")
    except StoreError:
        ((last,),) = connection.read("SELECT max(id) FROM trial")
    return last if isinstance(last, int) else 0


def _finder(
    connection: Connection, sql: str, make: Callable[[Row, Path], Keyed]
) -> Callable[[str], Keyed]:
    """A function from a key to what has it; StoreError if that is lost."""

    @cache
    def find(key: str) -> Keyed:
        for row in connection.read(f"{sql} NOT INDEXED WHERE key = ?", key):
            return make(row, connection.path)
        raise StoreError(f"{connection.path} has lost {key}")

    return find
