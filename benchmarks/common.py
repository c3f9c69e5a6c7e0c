"""What every benchmark script shares: its options, its rows, and the file of results.

options = parse_options("cpu_models", "latency of whole models")
rows = [Row("resnet18 fp32", 1.08, "x", goal=1.15, sense="<=", detail={...})]
publish(options, rows, settings={"threads": 1})
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from benchmarks.machine import describe_machine, versions
from benchmarks.timing import Timing, interleave
from codesign.errors import UsageError

__all__ = [
    "RESULTS",
    "Options",
    "Row",
    "Timing",
    "describe_machine",
    "interleave",
    "make_parser",
    "options_from",
    "parse_options",
    "publish",
    "say",
    "versions",
    "write_whole",
]

# Figures are those of untuned schedules and plain cost models unless a script names its records.
os.environ.setdefault("CODESIGN_RECORDS", os.path.join(os.devnull, "none.db"))
RESULTS = Path(__file__).with_name("results")
Sense = Literal[">=", "<="]


@dataclass(frozen=True)
class Options:
    """The options every script takes; `destination` is None when nothing is to be written."""

    name: str
    quick: bool
    only: str
    destination: Path | None

    def selects(self, case: str) -> bool:
        """Whether `--only` lets this case run; a pattern matches anywhere in the name."""
        return fnmatchcase(case, f"*{self.only}*")


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, and the goal with the sense in which it is to be met.

    Figures that were only asked to be known have neither goal nor sense, and `met` is None.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    sense: Sense | None = None
    detail: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.goal is None) != (self.sense is None):
            raise UsageError(f"row {self.name!r}: a goal and its sense come together")

    @property
    def met(self) -> bool | None:
        """Whether the value is on the right side of the goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.sense == ">=" else self.value <= self.goal

    def as_json(self) -> dict[str, object]:
        """The row as the results file has it."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "sense": self.sense,
            "met": self.met,
            "detail": dict(self.detail),
        }


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the common options; a script may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few cases and repeats, as a check")
    parser.add_argument("--only", metavar="PATTERN", default="", help="cases whose name matches")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where to write the results")
    return parser


def options_from(name: str, parsed: argparse.Namespace) -> Options:
    """The common options; only a full run goes to benchmarks/results/ without being told to."""
    partial = parsed.quick or parsed.only
    destination = parsed.json or (None if partial else RESULTS / f"{name}.json")
    return Options(name, parsed.quick, parsed.only, destination)


def parse_options(name: str, description: str, argv: Sequence[str] | None = None) -> Options:
    """Reads the command line of a script that has only the common options."""
    return options_from(name, make_parser(description).parse_args(argv))


def publish(options: Options, rows: Sequence[Row], settings: Mapping[str, object]) -> None:
    """Shows every row on stderr and writes the results file, whole or not at all."""
    for row in rows:
        say(_line(row))
    if options.destination is None:
        say("nothing written: a partial run needs --json FILE for that")
        return
    result = {
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"quick": options.quick, **settings},
        "rows": [row.as_json() for row in rows],
    }
    write_whole(options.destination, json.dumps(result, indent=1, allow_nan=False) + "\n")
    say(f"wrote {options.destination}")


def write_whole(path: Path, text: str) -> None:
    """Replaces a file by new text, so that a reader or a crash sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def say(line: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _line(row: Row) -> str:
    goal = "" if row.goal is None else f"   goal {row.sense} {row.goal:g} {row.unit}"
    verdict = {None: "", True: "   met", False: "   MISSED"}[row.met]
    return f"{row.name:<44} {row.value:>10.4g} {row.unit}{goal}{verdict}"
