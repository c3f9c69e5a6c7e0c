"""The tables of a tuning database, and how one is told from other files.

A later schema raises VERSION; a file of a higher version than this is refused, never changed.
"""

import sqlite3
from pathlib import Path

from codesign.errors import EmptyStoreError, StoreError
from codesign.tune.trouble import damaged

APPLICATION = 0x63647462
VERSION = 1

TABLES = (
    """CREATE TABLE task (
    key TEXT PRIMARY KEY, op TEXT NOT NULL, text TEXT NOT NULL, target TEXT NOT NULL,
    flops INTEGER NOT NULL)""",
    "CREATE TABLE device (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL)",
    """CREATE TABLE trial (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL REFERENCES task (key), device TEXT NOT NULL REFERENCES device (key),
    kernel TEXT NOT NULL, version TEXT NOT NULL, point TEXT NOT NULL, status TEXT NOT NULL,
    seconds REAL, low REAL, high REAL, repeats INTEGER NOT NULL, ratio REAL,
    message TEXT NOT NULL,
    at TEXT NOT NULL, CHECK ((status = 'ok') = (seconds IS NOT NULL)))""",
    "CREATE INDEX trial_of_task ON trial (task, device, kernel)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


def is_new(db: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all yet."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return not tables and _number(db, "application_id") == 0 == _number(db, "user_version")


def create(db: sqlite3.Connection) -> None:
    """Make the tables, unless another process was faster; within a transaction."""
    if is_new(db):
        for statement in TABLES:
            db.execute(statement)


def check(db: sqlite3.Connection, path: Path) -> None:
    """StoreError unless the file is a tuning database that this code can read.

    EmptyStoreError for one that holds nothing: its making was cut short, or something else left it.
    """
    version = _number(db, "user_version")
    if is_new(db):
        raise EmptyStoreError(
            f"{path} is empty, no tuning database yet; `codesign tune` or `codesign db merge` "
            "makes one of it"
        )
    if _number(db, "application_id") != APPLICATION:
        raise StoreError(
            f"{path} is an SQLite database of another program and was left as it is; take the "
            "path of a tuning database or of a new file"
        )
    if version > VERSION:
        raise StoreError(
            f"{path} was made by a later codesign (schema {version}, this one knows {VERSION}); "
            "update codesign, or take another path and merge into it what the later one exports"
        )
    names = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    missing = {"task", "device", "trial"} - names
    if missing or version < VERSION:
        raise damaged(path, f"no table {', '.join(sorted(missing)) or 'of a known version'}")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
