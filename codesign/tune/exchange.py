"""Trials as text, one JSON object a line, and merging of stores.

    {"format": "codesign-trial/1", "task": {"op": "conv", ...}, "device": {"cpu": ...},
     "kernel": "conv-direct", "version": "1", "point": {"tile": 7}, "status": "ok", ...}

Every line stands for itself, so such files can be joined and cut by lines.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from codesign.errors import StoreError, UsageError
from codesign.runtime.folder import write_file
from codesign.tune.point import parse_json, print_point, to_point
from codesign.tune.store import Store
from codesign.tune.trial import Device, Record, Task, Trial
from codesign.tune.trouble import damaged

FORMAT = "codesign-trial/1"
SQLITE = b"SQLite format 3\0"


def records(store: Store) -> list[Record]:
    """All trials of `store` with their tasks and devices, in the order of adding."""
    trials = store.trials()
    tasks = {task.key: task for task in store.tasks()}
    devices = {device.key: device for device in store.devices()}
    try:
        return [Record(tasks[trial.task], devices[trial.device], trial) for trial in trials]
    except KeyError as missing:
        raise damaged(store.path, f"no task or device {missing}") from None


def export(store: Store, path: str | Path) -> int:
    """Write all trials to the file `path`, whole or not at all; how many.

    UsageError if `path` is a database: that is never overwritten. ArtifactError if writing fails.
    """
    path = Path(path)
    if path.is_file() and is_database(path):
        raise UsageError(f"{path} is a database and is not overwritten; export to another file")
    found = records(store)

    def fill(stream: BinaryIO) -> None:
        stream.writelines(f"{print_record(record)}\n".encode() for record in found)

    write_file(path, fill)
    return len(found)


def print_record(record: Record) -> str:
    """`record` as one line of JSON."""
    shown = asdict(record.trial) | {
        "task": asdict(record.task),
        "device": dict(record.device.fingerprint),
        "point": json.loads(print_point(record.trial.point)),
    }
    return json.dumps({"format": FORMAT, **shown}, allow_nan=False)


def parse_record(line: str | bytes) -> Record:
    """The record that `print_record` wrote; UsageError if `line` is none."""
    data = parse_json(line)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise UsageError(f"expected an object with the format {FORMAT!r}")
    try:
        task, device = Task(**data.pop("task")), Device(data.pop("device"))
        point = to_point(data.pop("point"))
        trial = Trial(task=task.key, device=device.key, point=point, **data)
    except (KeyError, TypeError) as error:
        raise UsageError(f"missing or unknown or ill-typed: {error}") from None
    return Record(task, device, trial)


def read(path: str | Path) -> list[Record]:
    """The trials of another store or an exported file.

    UsageError if there is no such file; StoreError if it is neither, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist; expected a tuning database or an exported file")
    try:
        if path.is_dir() or is_database(path):
            with Store(path, write=False) as store:
                return records(store)
        with path.open("rb") as stream:
            return list(_parse_lines(stream, path))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from None


def _parse_lines(lines: Iterable[bytes], path: Path) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield parse_record(line)
        except UsageError as error:
            raise StoreError(
                f"line {number} of {path} is no trial: {error}. Expected a tuning database or what "
                "`codesign db export` wrote"
            ) from None


def merge(into: Store, source: str | Path) -> tuple[int, int]:
    """Add the trials of another store or exported file that are not there, all or none.

    How many were added, and how many `source` has. Merging again adds nothing.
    """
    found = read(source)
    return into.add_all(found), len(found)


def is_database(path: Path) -> bool:
    """Whether the file `path` begins as SQLite's do."""
    with path.open("rb") as stream:
        return stream.read(len(SQLITE)) == SQLITE
