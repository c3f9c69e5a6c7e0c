"""A target that knows what was measured of it on this device: tuned schedules and its profile."""

import warnings
from pathlib import Path

from codesign.errors import CodesignWarning, EmptyStoreError, StoreError, UsageError
from codesign.mapping.target import Target
from codesign.profile.table import OutdatedProfileError, Profile, load_profile, profile_path
from codesign.runtime.host import device
from codesign.tune.journal import StoredRecords
from codesign.tune.paths import NONE, default_path
from codesign.tune.store import Store


def informed(target: Target, records: str | Path | None = None, key: str | None = None) -> Target:
    """`target`, choosing schedules by the tuning database `records` and the profile beside it.

    Without `records` the user's own database is used if there is one; if that or the profile cannot
    be read, a warning says so and compiling goes on; so it does with a profile that another
    codesign made. UsageError or StoreError for `records` that cannot. What counts is what was
    measured of this machine, or of the remote devices of RPC `key`; a warning says so if nothing
    was measured of those. The records "none" are no database: neither records nor profile count.
    """
    if records is not None and str(records) == NONE:
        return target
    path = default_path() if records is None else Path(records)
    if records is not None and not path.exists():
        raise UsageError(f"tuning records {path} are not there; `codesign tune` makes them")
    try:
        tuned, profile = _tuned(path, target, key), _profiled(path, target, key)
    except StoreError as error:
        if records is None:
            warnings.warn(
                f"compiling without tuning records: {error}", CodesignWarning, stacklevel=2
            )
            return target
        raise
    if key is not None and tuned is None and profile is None:
        warnings.warn(
            f"nothing in {path.parent} was measured of devices with key {key} for {target.spec}: "
            "schedules are those of the cost model",
            CodesignWarning,
            stacklevel=2,
        )
    return target.informed(tuned, profile)


def _tuned(path: Path, target: Target, key: str | None) -> StoredRecords | None:
    """The winners in the database `path`, None if there are none for `target` here.

    A file without anything in it is what is left where there was no room to make a database: as
    good as none, and `codesign tune` makes one of it.
    """
    if not path.exists():
        return None
    try:
        with Store(path, write=False) as store:
            return StoredRecords(store, target, device(key)) or None
    except EmptyStoreError:
        return None


def _profiled(path: Path, target: Target, key: str | None) -> Profile | None:
    """The profile of `target` on this device beside the database `path`, if there is one."""
    file = profile_path(path.parent, target.spec, device(key))
    try:
        return load_profile(file).current(target) if file.exists() else None
    except OutdatedProfileError as error:
        warnings.warn(f"estimates are not corrected: {error}", CodesignWarning, stacklevel=3)
        return None
