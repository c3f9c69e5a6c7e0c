"""Code of other people fails: functions that make models, entry points, packages not installed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesign import plugins
from tests.cli.running import Cli, refused

FUNCTIONS = """
import sys
def leaves(): sys.exit(7)
def itself(): return "foreign_models:itself"
def number(): return 3
def choosing():
    import torch
    class Choosing(torch.nn.Module):
        def forward(self, x): return x + 1 if x.sum() > 0 else x
    return Choosing(), (torch.zeros(2),)
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "foreign_models.py").write_text(FUNCTIONS)
    (tmp_path / "needing_module.py").write_text("import no_such_imaging\ndef net(): return 3")
    (tmp_path / "leaving_module.py").write_text("import sys\nsys.exit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("foreign_models", None)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("foreign_models:leaves", ("foreign_models:leaves failed: it called sys.exit(7)",)),
        ("leaving_module:f", ("importing module leaving_module failed: it called sys.exit(3)",)),
        (
            "needing_module:net",
            ("cannot import module needing_module", "No module named 'no_such_imaging'"),
        ),
        ("foreign_models:itself", ("returned 'foreign_models:itself'", "expected a model")),
        ("foreign_models:number", ("int is no model",)),
    ],
)
def test_functions_that_make_no_model(cli: Cli, model: str, words: tuple[str, ...]) -> None:
    refused(cli("show", model), 2, *words)


@pytest.mark.usefixtures("foreign")
def test_control_by_values_is_told_in_plain_words(cli: Cli) -> None:
    done = cli("check", "foreign_models:choosing")
    refused(
        done, 4, "depends on the values of a tensor", "foreign_models.py, line 9", "torch.where"
    )
    assert "DataDependent" in cli("check", "foreign_models:choosing", "-v").err


@pytest.fixture
def broken_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package whose entry point names a module that is not there."""
    folder = tmp_path / "broken_package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[codesign.passes]\nbroken = not_there.at_all:X\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.table.cache_clear()
    yield
    plugins.table.cache_clear()


@pytest.mark.usefixtures("broken_entry")
def test_a_broken_entry_point_hinders_nobody_else(cli: Cli, tmp_path: Path) -> None:
    listed = cli("passes", "--json")
    names = [entry["name"] for entry in listed.json["passes"]]
    assert listed.code == 0 and "dead-code" in names and "broken" not in names
    assert "warning: pass 'broken' cannot be loaded from not_there.at_all:X" in listed.err
    used = cli("compile", "tests.small:small_program", "-o", tmp_path / "out", "--passes", "broken")
    refused(used, 2, "pass 'broken'", "not_there.at_all:X", "No module named 'not_there'")


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from codesign.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("passes",), 0),
        (("passes", "quantize-int8"), 0),
        (("passes", "assign-bits"), 0),
        (("compile", "tests.small:small_program", "-o", "never-written", "--dry-run"), 0),
        (("estimate", "tests.small:small_program"), 2),
        (("show", "tests.small:training_model"), 2),
    ],
)
def test_without_torch_only_what_needs_it_fails(arguments: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == code, done
    needs = "error: this needs the package torch, which is not installed; pip install"
    last = (done.stderr.splitlines() or [""])[-1]  # progress before it where that took long
    assert last.startswith(needs) == (code == 2), done.stderr
    assert "Traceback" not in done.stderr
