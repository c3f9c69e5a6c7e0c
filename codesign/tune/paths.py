"""Where the tuning database is unless another one is named."""

import os
from pathlib import Path

from codesign.errors import UsageError


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
