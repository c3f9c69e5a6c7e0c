"""What verbs print: results on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Settings:
    """The options that every verb has; with `events` stderr is for JSON lines alone."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    events: bool = False


settings = Settings()


def say(text: str) -> None:
    """A line for people, on stderr; not with --quiet."""
    if settings.quiet:
        return
    if settings.events:
        tell({"event": "remark", "text": text})
    else:
        print(text, file=sys.stderr, flush=True)


def tell(event: Mapping[str, Any]) -> None:
    """An event for a script: one JSON object in a line on stderr."""
    print(_dumped(dict(event)), file=sys.stderr, flush=True)


def result(data: dict[str, Any]) -> None:
    """The one JSON object of a verb that was asked for --json."""
    print(_dumped(data, 1))


def write_json(path: Path, data: dict[str, Any]) -> None:
    """`data` in the file `path`, whole or not at all."""
    from codesign.runtime.folder import write_file

    text = _dumped(data).encode()

    def fill(stream: BinaryIO) -> None:
        stream.write(text)

    write_file(path, fill)


def _dumped(data: dict[str, Any], indent: int | None = None) -> str:
    """`data` as JSON; ValueError for what JSON has no number for, such as nan."""
    return json.dumps(data, indent=indent, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    """Numbers of numpy as those of Python."""
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return item()


def console() -> "Console":
    """Where tables go: stdout, as wide as it needs where that is no terminal."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=200, no_color=True)


def fail(error: BaseException, code: int) -> None:
    """Tell what went wrong: on stderr, and as the JSON object where one was asked for."""
    text = str(error) or type(error).__name__
    if settings.json:
        result({"error": {"kind": type(error).__name__, "message": text, "exit_code": code}})
    if settings.events:
        tell({"event": "error", "text": text})
    else:
        print(f"error: {text}", file=sys.stderr)
