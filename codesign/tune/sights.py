"""What a fit sees of a measured point, kept beside its trials so that it need not be made again.

A table of its own, made when first needed: databases without it hold all that was measured too.
"""

import sqlite3
from dataclasses import dataclass
from math import inf

from codesign.tune.connection import Connection
from codesign.tune.trouble import damaged

_TABLE = """CREATE TABLE IF NOT EXISTS sight (
    task TEXT NOT NULL, kernel TEXT NOT NULL, version TEXT NOT NULL, point TEXT NOT NULL,
    told TEXT NOT NULL, PRIMARY KEY (task, kernel, version, point))"""
_SAME = "t.task = s.task AND t.kernel = s.kernel AND t.version = s.version AND t.point = s.point"
_THERE = "SELECT count(*) FROM sqlite_master WHERE name = 'sight'"
_READ = f"""SELECT s.task, s.kernel, s.version, s.point, s.told,
    max(CASE WHEN t.status = 'ok' THEN t.seconds ELSE 9e999 END)
    FROM sight s JOIN trial t ON {_SAME} JOIN task k ON k.key = s.task
    WHERE k.target = ? AND t.device = ? GROUP BY s.task, s.kernel, s.version, s.point
    ORDER BY min(t.id)"""


@dataclass(frozen=True)
class Sight:
    """`point` (its text) of `kernel` for `task` (its key), and what was `told` of it, as text.

    `seconds` is the longest of its times, infinite if it ever failed; it is read from the trials.
    """

    task: str
    kernel: str
    version: str
    point: str
    told: str
    seconds: float = inf


def put_sight(db: sqlite3.Connection, sight: Sight) -> None:
    """Insert or replace; the table is made where it is missing."""
    db.execute(_TABLE)
    values = (sight.task, sight.kernel, sight.version, sight.point, sight.told)
    db.execute("INSERT OR REPLACE INTO sight VALUES (?, ?, ?, ?, ?)", values)


def read_sights(connection: Connection, target: str, device: str) -> list[Sight]:
    """Those of points that have trials, in the order of the first of these."""
    ((there,),) = connection.read(_THERE)
    found = [Sight(*row) for row in connection.read(_READ, target, device)] if there else []
    for sight in found:
        if not isinstance(sight.seconds, float):
            raise damaged(connection.path, f"a trial of {sight.task} has no sensible time")
    return found


def drop_sights(db: sqlite3.Connection) -> None:
    """Drop those whose trials are all gone."""
    ((there,),) = db.execute(_THERE).fetchall()
    if there:
        db.execute(f"DELETE FROM sight AS s WHERE NOT EXISTS (SELECT 1 FROM trial t WHERE {_SAME})")
