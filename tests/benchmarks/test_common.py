"""Rows, options and the file of results."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.common import RESULTS, Options, Row, parse_options, publish, write_whole
from codesign.errors import UsageError


@pytest.mark.parametrize(
    ("value", "sense", "met"), [(2.0, ">=", True), (2.0, "<=", True), (1.9, ">=", False)]
)
def test_row_meets_its_goal_in_its_sense(value: float, sense: str, met: bool) -> None:
    row = Row("speed-up", value, "x", 2.0, ">=" if sense == ">=" else "<=")
    assert row.met is met
    assert row.as_json()["met"] is met


def test_row_without_goal_is_neither_met_nor_missed() -> None:
    assert Row("latency", 3.0, "ms").met is None


def test_row_refuses_a_goal_without_sense() -> None:
    with pytest.raises(UsageError, match="come together"):
        Row("latency", 3.0, "ms", goal=2.0)


def test_full_run_is_committed_and_a_partial_one_is_not() -> None:
    assert parse_options("x", "", []).destination == RESULTS / "x.json"
    assert parse_options("x", "", ["--quick"]).destination is None
    assert parse_options("x", "", ["--only", "a"]).destination is None
    named = parse_options("x", "", ["--quick", "--json", "here.json"])
    assert named.destination == Path("here.json")


def test_only_matches_anywhere_and_takes_wildcards() -> None:
    options = Options("x", quick=False, only="resnet*int8", destination=None)
    assert options.selects("cpu resnet18 int8 1 thread")
    assert not options.selects("cpu resnet18 fp32")


def test_published_file_has_the_four_parts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    row = Row("latency", 1.5, "ms", 2.0, "<=", {"peers": {"other": 3.0}})
    publish(Options("x", False, "", path), [row], {"threads": 1})
    result = json.loads(path.read_text())
    assert list(result) == ["machine", "versions", "settings", "rows"]
    assert result["settings"] == {"quick": False, "threads": 1}
    assert result["rows"] == [
        {
            "name": "latency",
            "value": 1.5,
            "unit": "ms",
            "goal": 2.0,
            "sense": "<=",
            "met": True,
            "detail": {"peers": {"other": 3.0}},
        }
    ]
    assert path.stat().st_mode & 0o777 == 0o644


def test_rows_go_to_stderr_and_nothing_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("latency", 3.0, "ms", 2.0, "<=")
    publish(Options("x", True, "", None), [row], {})
    out, err = capsys.readouterr()
    assert out == ""
    assert "MISSED" in err
    assert "nothing written" in err


def test_a_value_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="nan"):
        publish(Options("x", False, "", path), [Row("r", float("nan"), "ms")], {})
    assert path.read_text() == "old"


def test_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
