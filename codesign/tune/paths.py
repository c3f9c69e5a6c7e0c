"""Where the tuning database is unless another one is named."""

import os
from pathlib import Path

from codesign.errors import UsageError

NONE = "none"  # in the place of a database: compile as if nothing had been measured


def database(named: Path | None) -> Path:
    """The database that a run writes to; UsageError for `none`."""
    if named is not None and str(named) == NONE:
        raise UsageError(
            "measurements have to be kept somewhere, so --tuning-records none does not do here; "
            "name a file (./none for one of that name)"
        )
    return named or default_path()


def default_path() -> Path:
    """`$CODESIGN_RECORDS`, or else `codesign/tuning.db` in `$XDG_CACHE_HOME` or `~/.cache`.

    A relative `$XDG_CACHE_HOME` does not count, as the XDG base directory specification says.
    """
    try:
        if named := os.environ.get("CODESIGN_RECORDS"):
            return Path(named).expanduser()
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        folder = cache if cache.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        raise UsageError(
            "this user has no home folder for the tuning database; name a file in CODESIGN_RECORDS"
        ) from None
    return folder / "codesign" / "tuning.db"
