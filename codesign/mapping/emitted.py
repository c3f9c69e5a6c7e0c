"""What a target writes of a program for other tools: files, and what is to be said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Emitted:
    """Texts by file name, and a report, which is written beside them as report.json."""

    files: Mapping[str, str]
    report: Mapping[str, Any]
    lines: tuple[str, ...] = ()
