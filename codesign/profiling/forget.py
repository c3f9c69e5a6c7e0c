"""Dropping a profile: the fits, and the points that they were made of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import StoreError
from codesign.mapping.target import Target
from codesign.profile.table import profile_path
from codesign.runtime.host import device
from codesign.tune.naming import BARE
from codesign.tune.ranking import Entry
from codesign.tune.store import Store
from codesign.tune.trial import Device


@dataclass(frozen=True)
class Forgotten:
    """The profile's file, whether there was one, and how many points were dropped."""

    path: Path
    there: bool
    points: int


def forget(target: Target, records: Path, key: str | None = None) -> Forgotten:
    """Drop the profile of `target` beside the database `records`, with its points in there.

    That of this machine, or of the remote devices of RPC `key`. What the tuner measured stays.
    StoreError if the file cannot be removed.
    """
    place = device(key)
    path = profile_path(records.parent, target.spec, place)
    points = 0
    if records.exists():
        with Store(records) as store:
            points = store.forget(_Points(store, target, Device(place).key))
    there = path.exists()
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None
    return Forgotten(path, there, points)


class _Points:
    """Chooses the trials that a profile was made of: those never checked, and those of a fit."""

    def __init__(self, store: Store, target: Target, device: str) -> None:
        self.device = device
        tasks = [task for task in store.tasks() if task.target == target.spec]
        self.bare = {task.key for task in tasks if task.text.startswith(BARE)}
        sights = store.sights(target.spec, device)
        self.seen = {(s.task, s.kernel, s.version, s.point) for s in sights}

    def __call__(self, entries: Sequence[Entry]) -> Collection[int]:
        return [e.id for e in entries if e.device == self.device and self._of_profile(e)]

    def _of_profile(self, entry: Entry) -> bool:
        seen = (entry.task, entry.kernel, entry.version, entry.point) in self.seen
        return entry.task in self.bare or seen
