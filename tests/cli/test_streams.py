"""Stdout that is closed, full or no longer read, and errors of the parser of options."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Cli

SHOW = f"{sys.executable} -m codesign.cli passes"


def shell(command: str) -> tuple[int, str]:
    """Exit code (of the first in a pipe) and stderr of a command line of bash."""
    root = Path(__file__).parents[2]
    script = f"{command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=root)
    return done.returncode, done.stderr


@pytest.mark.parametrize("end", [">&-", "--json | head -c 1", "--json | true"])
def test_closed_stdout_is_no_error(end: str) -> None:
    assert shell(f"{SHOW} {end}") == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("more", ["", "--json"])
def test_full_stdout_is_told(more: str) -> None:
    code, err = shell(f"{SHOW} {more} >/dev/full")
    assert code == 1
    assert err == "error: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("passes", "--bogus", "--json"), ("--bogus", "codesign passes --help")),
        (("bench", "x", "--json", "--threads", "0"), ("--threads", "codesign bench --help")),
        (("compile", "--json"), ("MODEL", "codesign compile --help")),
        (("complie", "--json"), ("complie", "compile")),
    ],
)
def test_wrong_usage_is_json_too(
    cli: Cli, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = cli(*arguments)
    told = done.json["error"]
    assert (done.code, told["kind"], told["exit_code"]) == (2, "UsageError", 2)
    assert all(word in told["message"] for word in words), told
    assert done.err == f"error: {told['message']}\n"


def test_nothing_asked_for_gets_the_help(cli: Cli) -> None:
    for arguments in ((), ("db",)):
        done = cli(*arguments)
        assert done.code == 2 and "Usage:" in done.out + done.err and "error" not in done.err
