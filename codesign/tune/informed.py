"""A target that knows what was tuned for it on this device."""

import warnings
from pathlib import Path

from codesign.errors import StoreError, UsageError
from codesign.mapping.target import Target
from codesign.runtime.host import device
from codesign.tune.journal import StoredRecords
from codesign.tune.paths import default_path
from codesign.tune.store import Store


def informed(target: Target, records: str | Path | None = None) -> Target:
    """`target`, choosing schedules by the tuning database `records`.

    Without `records` the user's own database is used if there is one; if that cannot be read, a
    warning says so and compiling goes on. UsageError or StoreError for `records` that cannot.
    """
    path = default_path() if records is None else Path(records)
    if not path.exists():
        if records is None:
            return target
        raise UsageError(f"tuning records {path} are not there; `codesign tune` makes them")
    try:
        with Store(path, write=False) as store:
            found = StoredRecords(store, target, device())
    except StoreError as error:
        if records is None:
            warnings.warn(f"compiling without tuning records: {error}", stacklevel=2)
            return target
        raise
    return target.informed(found) if found else target
