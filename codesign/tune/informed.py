"""A target that knows what was tuned for it on this device."""

from pathlib import Path

from codesign.errors import StoreError, UsageError
from codesign.mapping.target import Target
from codesign.runtime.host import device
from codesign.tune.journal import StoredRecords
from codesign.tune.paths import default_path
from codesign.tune.store import Store


def informed(target: Target, records: str | Path | None = None) -> Target:
    """`target`, choosing schedules by the tuning database `records`.

    Without `records` the user's own database is used if there is one and it can be read: compiling
    goes on without it otherwise. UsageError or StoreError for `records` that cannot be read.
    """
    path = default_path() if records is None else Path(records)
    if not path.exists():
        if records is None:
            return target
        raise UsageError(f"tuning records {path} are not there; `codesign tune` makes them")
    try:
        with Store(path, write=False) as store:
            found = StoredRecords(store, target, device())
    except StoreError:
        if records is None:
            return target
        raise
    return target.informed(found) if found else target
