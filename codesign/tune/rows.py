"""Trials, tasks and devices as rows of the tables, and back.

Reading checks digests and keys, so a row that is not as it was written is an error and never a
wrong time.
"""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from codesign.errors import UsageError
from codesign.ir.program import Point
from codesign.tune.connection import Row
from codesign.tune.point import parse_json, parse_point, print_point
from codesign.tune.trial import Device, Task, Trial
from codesign.tune.trouble import damaged

Made = TypeVar("Made")
Keyed = TypeVar("Keyed", Task, Device)
TRIAL = tuple(f.name for f in fields(Trial))
TASK = tuple(f.name for f in fields(Task))
_INSERT_TRIAL = (
    f"INSERT INTO trial (digest, {', '.join(TRIAL)}) VALUES (?{', ?' * len(TRIAL)}) "
    "ON CONFLICT (digest) DO NOTHING"
)
_INSERT_TASK = (
    f"INSERT INTO task (key, {', '.join(TASK)}) VALUES (?{', ?' * len(TASK)}) "
    "ON CONFLICT (key) DO NOTHING"
)
_INSERT_DEVICE = "INSERT INTO device (key, fingerprint) VALUES (?, ?) ON CONFLICT (key) DO NOTHING"


def put_trials(db: sqlite3.Connection, trials: Iterable[Trial]) -> int:
    """Insert those that are not there; how many that were."""
    before = db.total_changes
    db.executemany(_INSERT_TRIAL, (_trial_row(trial) for trial in trials))
    return db.total_changes - before


def put_tasks(db: sqlite3.Connection, tasks: Iterable[Task]) -> None:
    """Insert those that are not there."""
    rows = ((task.key, *(getattr(task, name) for name in TASK)) for task in tasks)
    db.executemany(_INSERT_TASK, rows)


def put_devices(db: sqlite3.Connection, devices: Iterable[Device]) -> None:
    """Insert those that are not there."""
    db.executemany(_INSERT_DEVICE, ((device.key, device.text) for device in devices))


def _trial_row(trial: Trial) -> Row:
    values = {name: getattr(trial, name) for name in TRIAL}
    return (trial.digest, *(values | {"point": print_point(trial.point)}).values())


def to_trial(row: Row, path: Path) -> Trial:
    """The trial of a row (id, digest, TRIAL...) of the file `path`; StoreError if damaged."""
    number, digest, *values = row
    given: dict[str, Any] = dict(zip(TRIAL, values, strict=True))
    given["point"] = to_point(given["point"], number, path)
    trial = _made(lambda: Trial(**given), f"trial {number}", path)
    if trial.digest != digest:
        raise damaged(path, f"trial {number} is not as it was written")
    return trial


def to_point(text: str, number: int, path: Path) -> Point:
    """The point of trial `number`; StoreError if damaged."""
    return _made(lambda: parse_point(text), f"trial {number}", path)


def to_task(row: Row, path: Path) -> Task:
    """The task of a row (key, TASK...); StoreError if damaged."""
    return _keyed(row, Task, path)


def to_device(row: Row, path: Path) -> Device:
    """The device of a row (key, fingerprint); StoreError if damaged."""
    return _keyed(row, _device, path)


def _device(text: str) -> Device:
    return Device(parse_json(text))


def _keyed(row: Row, make: Callable[..., Keyed], path: Path) -> Keyed:
    key, *values = row
    thing = _made(lambda: make(*values), str(key), path)
    if thing.key != key:
        raise damaged(path, f"{key} is not as it was written")
    return thing


def _made(make: Callable[[], Made], what: str, path: Path) -> Made:
    try:
        return make()
    except UsageError as error:
        raise damaged(path, f"{what}: {error}") from None
