"""The command line and an artifact for it."""

from pathlib import Path

import pytest

from tests.cli.running import Cli
from tests.small import small_compiled


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(Path(__file__).parents[2])
    return Cli(capsys)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_compiled().save(tmp_path_factory.mktemp("cli") / "out")
