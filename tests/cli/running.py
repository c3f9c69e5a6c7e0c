"""Runs the command line inside the test."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from codesign.cli.app import run


@dataclass(frozen=True)
class Done:
    """What a command line left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Stdout, which must be one JSON object and nothing else."""
        found: dict[str, Any] = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Cli:
    """`cli("compile", "model.onnx", ...)`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> Done:
        """The result of one command line."""
        self.capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self.capsys.readouterr()
        return Done(code, out, err)


def refused(done: Done, code: int, *words: str) -> None:
    """Check for an error: its code, one line on stderr, and all of `words` in it."""
    assert done.code == code, done
    assert done.err.startswith("error: ") and "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1
