"""What goes wrong with a database file, in words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codesign.errors import DamagedStoreError, StoreError

_EXACT = {
    sqlite3.SQLITE_READONLY_ROLLBACK: (
        "was left by a process that was killed while it wrote; putting that right needs a file "
        "and a folder that can be written: open it once with the right to do so"
    ),
    sqlite3.SQLITE_READONLY_DBMOVED: (
        "was moved or deleted while it was open; open it again where it is now"
    ),
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: (
        "knows no such task or device; add_task and add_device come before add"
    ),
}
_DAMAGED = (
    "is damaged ({error}) and was left as it is. Use a copy if there is one, or save what can be "
    "read with `codesign db merge NEW.db OLD.db --salvage`"
)
# what has no code of its own: text that is no UTF-8, tables that are not as they were made
_STRANGE = ("decode", "no such column", "no such table", "has no column")
_KINDS = {
    sqlite3.SQLITE_FULL: (
        "cannot be written, the disk is full; what it held is as it was. Free some space and "
        "start again, finished trials count"
    ),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written ({error}); a full disk, a limit on file sizes or a lost network "
        "folder does that. What it held before stays; put that right or take another path"
    ),
    sqlite3.SQLITE_READONLY: (
        "can only be read here, not written; make the file and its folder writable or take "
        "another path"
    ),
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied",
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened, or its folder cannot be written; check the permissions of both or take "
        "another path"
    ),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: (
        "is no tuning database and was left as it is; expected a file that `codesign tune` or "
        "`codesign db merge` wrote, or the path of a new one"
    ),
    sqlite3.SQLITE_PROTOCOL: (
        "is in a folder whose file system does not lock files; take a path on another disk"
    ),
    sqlite3.SQLITE_NOMEM: "needs more memory than there is",
}
_KINDS[sqlite3.SQLITE_BUSY] = _KINDS[sqlite3.SQLITE_LOCKED] = (
    "was locked by another process for {patience:g} s and nothing was written; wait until that is "
    "done, or end it if it hangs, and start again"
)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the file and trying again may help."""
    return _kind(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def damaged(path: Path, what: str) -> DamagedStoreError:
    """The error for content that cannot be as it was written."""
    return DamagedStoreError(f"{path} {_DAMAGED.format(error=what)}")


@contextmanager
def in_words(path: Path, patience: float) -> Iterator[None]:
    """Turn errors of SQLite on the file `path` into StoreErrors."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        words = _EXACT.get(code) or _KINDS.get(_kind(error))
        if words is None and any(sign in str(error) for sign in _STRANGE):
            words = _DAMAGED
        text = (words or "failed: {error}").format(error=error, patience=patience)
        kind = DamagedStoreError if words == _DAMAGED else StoreError
        raise kind(f"tuning database {path} {text}") from None


def _kind(error: sqlite3.Error) -> int:
    """The primary code of SQLite, 0 where Python has raised the error itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
