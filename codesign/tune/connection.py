"""A database file that several processes and threads read and write.

What `writing` has finished is on the disk: a rollback journal with synchronous=EXTRA, so that
neither a killed process nor a power failure takes it back (https://www.sqlite.org/atomiccommit.html
and pragma.html#pragma_synchronous). A write-ahead log would be some milliseconds faster, but must
not be used from two machines at once on a network folder, and copying its main file alone loses
what was written last.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from codesign.errors import DamagedStoreError, StoreError, UsageError
from codesign.tune import schema
from codesign.tune.trouble import damaged, in_words, is_busy

T = TypeVar("T")
Row = tuple[Any, ...]
PATIENCE = 30.0
BUSY_SECONDS = 0.1  # how long SQLite waits by itself, deaf to Ctrl-C; then Python tries again


class Connection:
    """The open file `path`, made where it is missing if `write`; StoreError, never sqlite3's.

    An attempt that finds the file locked is repeated for `patience` seconds. With `lenient` a file
    that was cut off or lacks a table is opened too.
    """

    def __init__(
        self, path: Path, write: bool, patience: float = PATIENCE, lenient: bool = False
    ) -> None:
        self.path, self.write, self.patience, self.lenient = path, write, patience, lenient
        self._lock, self._pid = threading.RLock(), os.getpid()
        _check_path(path, write)
        with in_words(path, patience):
            self._db = _connect(path, write)
            try:
                if lenient:
                    self._db.execute("PRAGMA writable_schema = ON")
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._patiently(lambda: self._db.execute("PRAGMA synchronous = EXTRA"))
        self._patiently(lambda: self._db.execute("PRAGMA foreign_keys = ON"))
        if self.write and self._patiently(lambda: schema.is_new(self._db)):
            with self.writing() as db:
                schema.create(db)
        self._patiently(self._check)

    def _check(self) -> None:
        """In a transaction: another process may be making the tables."""
        self._db.execute("BEGIN")
        try:
            schema.check(self._db, self.path)
        except DamagedStoreError:
            if not self.lenient:
                raise
        finally:
            self._db.execute("ROLLBACK")

    def read(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""
        with self._held():
            return self._patiently(lambda: self._db.execute(sql, values).fetchall())

    def check_pages(self) -> None:
        """DamagedStoreError unless SQLite finds everything in the file in its place."""
        found = self.read("PRAGMA integrity_check(1)")
        if found != [("ok",)]:
            raise damaged(self.path, " ".join(str(found[0][0]).split()))

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: the block's statements are all done and durable after it, or none."""
        with self._held():
            if not self.write:
                raise StoreError(f"tuning database {self.path} was opened for reading only")
            self._patiently(lambda: self._db.execute("BEGIN IMMEDIATE"))
            try:
                yield self._db
                self._patiently(lambda: self._db.execute("COMMIT"))
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has ended the transaction already
                    self._db.execute("ROLLBACK")
                raise

    def compact(self) -> None:
        """Give the space of what was deleted back to the disk."""
        with self._held():
            self._patiently(lambda: self._db.execute("VACUUM"))

    def close(self) -> None:
        """No more reading or writing; may be called twice."""
        if os.getpid() == self._pid:
            with self._lock:
                self._db.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """This thread has the connection to itself, and errors are told in words."""
        if os.getpid() != self._pid:
            raise StoreError(
                f"tuning database {self.path} was opened before this process was forked from "
                "another; open it again here"
            )
        with self._lock, in_words(self.path, self.patience):
            yield

    def _patiently(self, action: Callable[[], T]) -> T:
        """The result of `action`, tried again while another process holds the file."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.01))


def _check_path(path: Path, write: bool) -> None:
    """Refuse what SQLite would overwrite or tell badly of; make the folder of a new file."""
    try:
        if path.is_file():
            if 0 < path.stat().st_size < 16:  # SQLite takes a file of one byte for a new one
                raise StoreError(f"{path} is no tuning database; take the path of one or a new one")
        elif path.exists():
            raise StoreError(
                f"{path} is a folder or a device, no tuning database; give the path of a file"
            )
        elif not write:
            raise UsageError(
                f"tuning database {path} does not exist; `codesign tune` or `codesign db merge` "
                "makes one"
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot open tuning database {path}: {error}") from None


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    """`mode=rw` also to read: what a killed writer has left is undone by whoever opens next."""
    address = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
    return sqlite3.connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
