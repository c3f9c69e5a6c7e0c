"""Other processes that use a store: forked, so that they start in no time."""

import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from codesign.errors import CodesignError
from codesign.tune.store import Store
from tests.tune.samples import DEVICE, TASK, trial

FORK = multiprocessing.get_context("fork")
NOBODY = 65534


def add_from(path: Path, start: int, count: int, told: Connection) -> None:
    """Add trials of the points from `start` on, and tell each number once `add` has returned."""
    with Store(path) as store:
        store.add_task(TASK)
        store.add_device(DEVICE)
        for number in range(start, start + count):
            store.add(trial(number, 0.001 * (number + 1)))
            told.send(number)


def adding(path: Path, start: int, count: int) -> tuple[BaseProcess, Connection]:
    """A process that does `add_from`, and where it tells what it has added."""
    heard, told = FORK.Pipe(duplex=False)
    process = FORK.Process(target=add_from, args=(path, start, count, told))
    process.start()
    told.close()
    return process, heard


def everything(heard: Connection) -> list[int]:
    """What was told until the process ended."""
    found = []
    try:
        while True:
            found.append(heard.recv())
    except EOFError:
        return found


def elsewhere(action: Callable[[], str], nobody: bool = False) -> str:
    """What `action` returns in a forked process, or the message of its CodesignError.

    With `nobody` that process has no more rights than others have: root may write anything.
    """
    heard, told = FORK.Pipe(duplex=False)

    def work() -> None:
        if nobody and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            told.send(action())
        except CodesignError as error:
            told.send(f"{type(error).__name__}: {error}")

    process = FORK.Process(target=work)
    process.start()
    told.close()
    found: str = heard.recv()
    process.join()
    return found


def intact(path: Path) -> bool:
    """Whether SQLite finds nothing wrong with the whole file."""
    with closing(sqlite3.connect(path)) as db:
        found: list[tuple[str]] = db.execute("PRAGMA integrity_check").fetchall()
        return found == [("ok",)]
