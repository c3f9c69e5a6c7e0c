"""Other mappers and simulators run as themselves, by a Python of their own environment."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from codesign.errors import DataError, UsageError


def has(python: str, option: str, package: str, arguments: Sequence[str], given: str = "") -> str:
    """What `python` answers; UsageError if it cannot be run or lacks what the arguments need."""
    try:
        done = _run(python, arguments, given)
    except OSError as error:
        raise UsageError(f"{option} {python} cannot be run: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise UsageError(
            f"{python} has no {package} that works ({last}); make an environment with {package} "
            f"and what it imports, and name its Python with {option}"
        )
    return done.stdout


def finish(python: str, arguments: Sequence[str], where: Path) -> None:
    """Runs `python` in the folder `where`; DataError with the end of what it said if it fails."""
    done = _run(python, arguments, "", where)
    if done.returncode:
        raise DataError(f"{' '.join([python, *arguments])} failed: {done.stderr[-500:]}")


def _run(
    python: str, arguments: Sequence[str], given: str, where: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], input=given, capture_output=True, text=True, check=False, cwd=where
    )
