"""Writes the tables of README.md and docs/ from benchmarks/results/, or checks them.

    python -m benchmarks.readme_tables [--check]

A table stands between `<!-- table:NAME -->` and `<!-- /table -->`, NAME being a results file.
`<!-- table:NAME only=PATTERN detail=a,b -->` takes the rows whose name matches and adds columns
from their details; `a.b` looks into a detail that is an object itself.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, say, write_whole
from codesign.errors import CodesignError, DataError

ROOT = RESULTS.parent.parent
BLOCK = re.compile(
    r"(?P<open><!-- table:(?P<name>[\w-]+)(?P<options>(?: \w+=\S+)*) -->\n)"
    r"(?P<body>.*?)(?P<close><!-- /table -->)",
    re.DOTALL,
)
MARKS = {None: "", True: "yes", False: "**no**"}


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrites the tables, or with --check lists the files whose tables are stale."""
    parser = argparse.ArgumentParser(description="tables from benchmarks/results")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if any is stale")
    check = parser.parse_args(argv).check
    try:
        changed = stale(documents())
    except CodesignError as error:
        say(f"error: {error}")
        return error.exit_code
    for path, text in changed.items():
        say(f"{path}: tables are {'stale, run `make tables`' if check else 'rewritten'}")
        if not check:
            write_whole(path, text)
    return 1 if check and changed else 0


def documents(root: Path = ROOT) -> list[Path]:
    """The files that may hold tables."""
    return [root / "README.md", *sorted((root / "docs").glob("**/*.md"))]


def stale(paths: Sequence[Path], results: Path = RESULTS) -> dict[Path, str]:
    """The files whose tables differ from the results, with their text as it should be."""
    changed = {}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        fresh = fill(text, results)
        if fresh != text:
            changed[path] = fresh
    return changed


def fill(text: str, results: Path = RESULTS) -> str:
    """The text with each table block filled in; DataError if a marker has no partner."""
    filled = BLOCK.sub(lambda block: _block(block, results), text)
    starts, whole = text.count("<!-- table:"), len(BLOCK.findall(text))
    if not starts == whole == text.count("<!-- /table -->"):
        raise DataError(
            f"{starts} table markers, {whole} of them well-formed and closed; expected "
            "`<!-- table:NAME only=PATTERN detail=a,b -->`, then `<!-- /table -->`"
        )
    return filled


def _block(block: re.Match[str], results: Path) -> str:
    options = dict(pair.split("=", 1) for pair in block["options"].split())
    unknown = options.keys() - {"only", "detail"}
    if unknown:
        raise DataError(f"table:{block['name']}: unknown option {sorted(unknown)}")
    path = results / f"{block['name']}.json"
    if not path.is_file():
        raise DataError(f"table:{block['name']}: no {path}; run `make bench` first")
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    chosen = [row for row in rows if fnmatchcase(row["name"], f"*{options.get('only', '')}*")]
    columns = [name for name in options.get("detail", "").split(",") if name]
    return block["open"] + render(chosen, columns) + block["close"]


def render(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """A Markdown table of rows: figure, measured, goal, met, then the detail columns."""
    head = ["figure", "measured", "goal", "met", *columns]
    lines = [head, ["---", "---:", "---:", ":---:"] + ["---:"] * len(columns)]
    for row in rows:
        goal = "" if row["goal"] is None else f"{row['sense']} {_number(row['goal'], row['unit'])}"
        measured = _number(row["value"], row["unit"])
        details = [_cell(_detail(row["detail"], name)) for name in columns]
        lines.append([row["name"], measured, goal, MARKS[row["met"]], *details])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(value: float, unit: str) -> str:
    return f"{_cell(value)} {unit}".strip()


def _detail(detail: Any, name: str) -> object:
    for part in name.split("."):
        detail = detail.get(part) if isinstance(detail, Mapping) else None
    return detail


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
