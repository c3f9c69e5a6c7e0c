"""`codesign targets check`: what it prints, its exit codes, what it is given wrongly."""

from pathlib import Path

import pytest

from codesign import plugins
from tests.cli.running import Cli, refused
from tests.contract.broken import MACHINE, TABLE


def test_a_machine_file_is_checked(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MACHINE)
    done = cli("targets", "check", path, "--only", "linear", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["ok"] is True and found["target"] == f"machine{{file={path}}}"
    assert {row["outcome"] for row in found["checks"]} == {"ok"}
    assert set(found["checks"][0]) == {"check", "sample", "kernel", "outcome", "why"}
    runs = [row["kernel"] for row in found["checks"] if row["check"] == "run"]
    assert set(runs) == {"", "host", "mapped"}
    text = cli("targets", "check", path, "--only", "softmax", "-q").out
    assert "0 of" in text and "checks failed" in text


def test_what_fails_is_told_and_the_exit_code_is_1(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**plugins.table("target"), **TABLE}
    monkeypatch.setattr(plugins, "table", lambda what: known)
    done = cli("targets", "check", "wrong-numbers", "--only", "linear", "-q")
    assert done.code == 1
    assert "run linear, 8x8 bits: failed: " in done.out and "have other bits" in done.out
    as_json = cli("targets", "check", "wrong-numbers", "--only", "linear", "--json")
    assert as_json.code == 1 and as_json.json["ok"] is False


def test_what_is_not_run_is_told_with_v(cli: Cli) -> None:
    found = ("targets", "check", "systolic{array=4x4}", "--only", "matmul", "-q")
    assert "(-v tells why)" in cli(*found).out
    assert "run matmul, float: not run: systolic multiplies codes" in cli(*found, "-v").out


def test_what_is_given_wrongly_is_told(cli: Cli) -> None:
    refused(cli("targets", "check"), 2, "check needs a target")
    refused(cli("targets", "check", "eyerris"), 2, "did you mean eyeriss")
    refused(cli("targets", "eyeriss", "cpu"), 2, "expected one target")
    refused(cli("targets", "check", "systolic", "--only", "nothing"), 2, "unknown sample 'nothing'")
    assert cli("targets", "systolic").code == 0
