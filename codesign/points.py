"""Points of a sweep, and the file that keeps them: a line each, `{"of": identity, "point": {...}}`.

A file of anything else is left as it is. Only the line that a killed run left half written at the
end goes, before the next one is added.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from codesign.errors import DataError, UsageError


@dataclass(frozen=True)
class Swept:
    """One point: the target's spec and its totals, or why it was refused."""

    target: str
    latency_ms: float = 0.0
    energy_uj: float | None = None
    cycles: float = 0.0
    refused: str = ""
    best: bool = False

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return dict(self.__dict__)


def _alternatives(word: str) -> str:
    """A pattern of everything that `word` begins with."""
    return "|".join(re.escape(word[:end]) for end in range(len(word), -1, -1))


def _cut_off() -> re.Pattern[str]:
    """A pattern of every beginning of a line that `keep` writes."""
    letters = r'"(?:[ !#-\[\]-~]|\\[ -~])*'
    text = (f'{letters}"', letters + r"\\?|")
    number = (r"-?[0-9][0-9.e+-]*", "-?[0-9.e+-]*")
    kinds = {
        "of": text,
        "target": text,
        "latency_ms": number,
        "energy_uj": (f"(?:null|{number[0]})", f"{number[1]}|{_alternatives('null')}"),
        "cycles": number,
        "refused": text,
        "best": ("false", _alternatives("false")),
    }
    pattern = f"(?:{_alternatives('}}')})"
    for key, (whole, part) in reversed(kinds.items()):
        before = {"of": '{"of": ', "target": ', "point": {"target": '}.get(key, f', "{key}": ')
        pattern = f"(?:{whole}{pattern}|{part})"
        pattern = f"(?:{re.escape(before)}{pattern}|{_alternatives(before)})"
    return re.compile(pattern, re.ASCII)


CUT_OFF = _cut_off()


def known(path: Path) -> dict[str, Swept]:
    """The points in the file `path`, by their identity; none if there is no file.

    UsageError (DataError) if it cannot be read or holds anything else.
    """
    return dict(_read(_bytes(path), path))


def check(path: Path) -> None:
    """What `known` raises; UsageError too if the file is there and cannot be written."""
    known(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"cannot write {path}: it may only be read; give another file")


def keep(path: Path, identity: str, one: Swept) -> None:
    """Add a point, whole and on disk; what a killed run left of a line goes first."""
    line = json.dumps({"of": identity, "point": one.json()}, allow_nan=False)
    with _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        file.seek(0)
        text: bytes = file.read()
        end = text.rfind(b"\n") + 1
        if _whole(text[end:]):
            line = f"\n{line}"
        else:
            _check_cut_off(text[end:], path, text.count(b"\n") + 1)
            file.truncate(end)
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path) -> Any:
    try:
        return path.open("ab+")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _read(text: bytes, path: Path) -> Iterator[tuple[str, Swept]]:
    *lines, last = text.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            yield _parsed(line)
        except ValueError as error:
            raise _foreign(path, number, str(error)) from None
    if _whole(last):
        yield _parsed(last)
    else:
        _check_cut_off(last, path, len(lines) + 1)


def _whole(line: bytes) -> bool:
    try:
        return bool(_parsed(line))
    except ValueError:
        return False


def _check_cut_off(line: bytes, path: Path, number: int) -> None:
    """DataError unless `line` is the beginning of a point, or nothing."""
    if CUT_OFF.fullmatch(line.decode("ascii", "replace")) is None:
        raise _foreign(path, number, "nor the beginning of one")


def _foreign(path: Path, number: int, why: str) -> DataError:
    return DataError(
        f"line {number} of {path} is no point of a sweep ({why}); the file is left as it is, give "
        "another one"
    )


def _parsed(line: bytes) -> tuple[str, Swept]:
    """Identity and point of a line; ValueError if it has none."""
    try:
        entry = json.loads(line.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("no text") from None
    _check_keys(entry, ("of", "point"))
    _check_keys(entry["point"], tuple(field.name for field in fields(Swept)))
    if not isinstance(entry["of"], str):
        raise ValueError(f"of is {entry['of']!r}")
    for name, value in entry["point"].items():
        if not _fits(name, value):
            raise ValueError(f"{name} is {value!r}")
    return entry["of"], Swept(**entry["point"])


def _check_keys(entry: object, keys: tuple[str, ...]) -> None:
    if not isinstance(entry, Mapping) or set(entry) != set(keys):
        raise ValueError(f"expected an object of {', '.join(keys)}")


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _number(value: object) -> bool:
    """Whether this is an amount; integers of any length are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 1e300 and isfinite(value)


def _fits(name: str, value: object) -> bool:
    """Whether `value` is one of the field `name`."""
    if name in ("target", "refused"):
        return isinstance(value, str)
    if name == "best":
        return isinstance(value, bool)
    return _number(value) or (name == "energy_uj" and value is None)
