"""The tuning database: every trial that was finished, by task, device and kernel version.

One SQLite file. Several processes may add to it at once, a process may be killed at any moment, and
a trial whose `add` has returned is there afterwards. The order is that of adding, never of clocks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.ir.program import Point
from codesign.tune.connection import PATIENCE, Connection
from codesign.tune.ranking import Entry, ranked
from codesign.tune.rows import (
    TASK,
    TRIAL,
    put_devices,
    put_tasks,
    put_trials,
    to_device,
    to_point,
    to_task,
    to_trial,
)
from codesign.tune.sights import Sight, drop_sights, put_sight, read_sights
from codesign.tune.trial import STATUSES, Device, Record, Task, Trial
from codesign.tune.trouble import damaged


@dataclass(frozen=True)
class Counts:
    """How much a store holds: finished trials, duels won, and trials by status, every one named."""

    trials: int
    tasks: int
    devices: int
    by_status: Mapping[str, int]
    duels: int = 0


class Store:
    """The tuning database in the file `path`, made if it is missing.

    With `write` False it must be there (UsageError) and is only read. While another process writes,
    every call waits up to `patience` seconds. StoreError says what is wrong with the file.
    """

    def __init__(self, path: str | Path, write: bool = True, patience: float = PATIENCE) -> None:
        self.path = Path(path)
        self._connection = Connection(self.path, write, patience)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing is written that was not before."""
        self._connection.close()

    def add(self, trial: Trial) -> bool:
        """Keep `trial`, whose task and device must be there; durable when this returns.

        False if the very same trial is there already. Another measurement of the same point is kept
        beside the earlier ones.
        """
        with self._connection.writing() as db:
            return put_trials(db, [trial]) > 0

    def add_task(self, task: Task) -> None:
        """Keep `task`; nothing happens if it is there."""
        with self._connection.writing() as db:
            put_tasks(db, [task])

    def add_device(self, device: Device) -> None:
        """Keep `device`; nothing happens if it is there."""
        with self._connection.writing() as db:
            put_devices(db, [device])

    def add_sight(self, sight: Sight) -> None:
        """Keep what a fit sees of a point, in place of what it saw before."""
        with self._connection.writing() as db:
            put_sight(db, sight)

    def sights(self, target: str, device: str) -> list[Sight]:
        """What fits see of the points measured for a target on a device (key), with their times."""
        return read_sights(self._connection, target, device)

    def add_all(self, records: Collection[Record]) -> int:
        """Keep trials with their tasks and devices, all or none; how many trials were new."""
        with self._connection.writing() as db:
            put_tasks(db, {record.trial.task: record.task for record in records}.values())
            put_devices(db, {record.trial.device: record.device for record in records}.values())
            return put_trials(db, (record.trial for record in records))

    def trials(
        self, task: str | None = None, device: str | None = None, kernel: str | None = None
    ) -> list[Trial]:
        """The trials of a task, device and kernel (None: of all), in the order of adding."""
        return self._trials(task=task, device=device, kernel=kernel)

    def _trials(self, **wanted: object) -> list[Trial]:
        where, values = _where(wanted)
        sql = f"SELECT id, digest, {', '.join(TRIAL)} FROM trial{where} ORDER BY id"
        return [to_trial(row, self.path) for row in self._connection.read(sql, *values)]

    def news(self, since: int, device: str, tasks: Collection[str]) -> tuple[int, list[Trial]]:
        """The trials of `tasks` on `device` that came after row `since`, and the last such row."""
        marks = ", ".join("?" * len(tasks))
        sql = (
            f"SELECT id, digest, {', '.join(TRIAL)} FROM trial "
            f"WHERE id > ? AND device = ? AND +task IN ({marks}) ORDER BY id"
        )  # the sign keeps SQLite from looking into the index by task, where all rows are old
        rows = self._connection.read(sql, since, device, *tasks)
        return (rows[-1][0] if rows else since), [to_trial(row, self.path) for row in rows]

    def entries(
        self, task: str | None = None, device: str | None = None, kernel: str | None = None
    ) -> list[Entry]:
        """As `trials`, but only what ranking needs, and faster."""
        where, values = _where({"task": task, "device": device, "kernel": kernel})
        sql = f"SELECT {', '.join(Entry._fields)} FROM trial{where} ORDER BY id"
        found = [Entry(*row) for row in self._connection.read(sql, *values)]
        for entry in found:
            if not isinstance(entry.seconds, float if entry.status == "ok" else type(None)):
                raise damaged(self.path, f"trial {entry.id} has no sensible time")
        return found

    def best(self, task: str, device: str, versions: Mapping[str, str] | None) -> Trial | None:
        """The fastest trial whose kernel has the version that `versions` gives for its name.

        Without `versions` any kernel and version will do. See `codesign.tune.ranking` for points
        that were measured several times. None if nothing worked.
        """
        for entry in ranked(self.entries(task, device)):
            current = versions is None or versions.get(entry.kernel) == entry.version
            if current and (found := self._trials(id=entry.id)):  # else it was just forgotten
                return found[0]
        return None

    def tried(self, task: str, device: str, kernel: str, version: str) -> set[Point]:
        """The points that have a trial of this version of `kernel`, whatever came of it."""
        found = (e for e in self.entries(task, device, kernel) if e.version == version)
        return {to_point(entry.point, entry.id, self.path) for entry in found}

    def tasks(self) -> list[Task]:
        """All tasks, in the order of adding."""
        rows = self._connection.read(f"SELECT key, {', '.join(TASK)} FROM task ORDER BY rowid")
        return [to_task(row, self.path) for row in rows]

    def devices(self) -> list[Device]:
        """All devices, in the order of adding."""
        rows = self._connection.read("SELECT key, fingerprint FROM device ORDER BY rowid")
        return [to_device(row, self.path) for row in rows]

    def verify(self) -> None:
        """DamagedStoreError unless the whole file, and every row, is as it was written."""
        self._connection.check_pages()
        self.tasks(), self.devices(), self.trials()

    def counts(self) -> Counts:
        """How many trials, tasks and devices there are."""
        rows = self._connection.read(
            "SELECT status, count(*) FROM trial WHERE ratio IS NULL GROUP BY status"
        )
        by_status = dict.fromkeys(map(str, STATUSES), 0) | dict(rows)
        ((tasks, devices, duels),) = self._connection.read(
            "SELECT (SELECT count(*) FROM task), (SELECT count(*) FROM device), "
            "(SELECT count(*) FROM trial WHERE ratio IS NOT NULL)"
        )
        return Counts(sum(by_status.values()), tasks, devices, by_status, duels)

    def forget(self, choose: Callable[[Sequence[Entry]], Collection[int]]) -> int:
        """Drop the trials whose ids `choose` names when shown all, in one transaction; how many.

        Tasks and devices stay: another process may be about to add trials of them.
        """
        with self._connection.writing() as db:
            doomed = choose(self.entries())
            db.executemany("DELETE FROM trial WHERE id = ?", ((number,) for number in doomed))
            drop_sights(db)
            return len(doomed)

    def compact(self) -> None:
        """Give the space of forgotten trials back to the disk."""
        self._connection.compact()


def _where(wanted: Mapping[str, object]) -> tuple[str, list[object]]:
    """The condition that the given columns are as given, None aside, and its values."""
    given = {name: value for name, value in wanted.items() if value is not None}
    condition = " AND ".join(f"{name} = ?" for name in given)
    return (f" WHERE {condition}" if condition else ""), list(given.values())
