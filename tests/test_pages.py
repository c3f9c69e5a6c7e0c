"""The pages that build a target and a pass do what they say: every block runs, in order."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from codesign import plugins
from codesign.cli.app import run

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"# (\S+\.\w+)\n")
PIP = {  # `pip install .` into a folder of the test's own, without a network
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
BRINGS = {"dot", "net", "merge", "heads"}  # modules that the pages make


@dataclass
class Page:
    """A page in a folder of its own; what its commands print goes where `capsys` reads it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, name: str) -> dict[str, str]:
        """Write or run every block; by command what it printed."""
        printed: dict[str, str] = {}
        for language, text in BLOCK.findall((DOCS / name).read_text()):
            named = NAMED.match(text)
            if named:
                path = self.folder / named[1]
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            elif language == "python":
                exec(compile(text, name, "exec"), {})
            else:
                assert language == "sh", text
                printed |= {line: self.command(line) for line in text.splitlines()}
        return printed

    def command(self, line: str) -> str:
        """One line of a shell block; `codesign` runs within this process, which has loaded it."""
        program, *arguments = shlex.split(line)
        if program == "codesign":
            self.capsys.readouterr()
            code = run(arguments)
            out, err = self.capsys.readouterr()
            assert code == 0, f"{line}: {err}"
            return out
        words = [sys.executable, "-m", program, *arguments]
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        plugins.table.cache_clear()
        return done.stdout


@pytest.fixture
def page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Page]:
    site = tmp_path / "site"
    site.mkdir()
    for name, value in {**PIP, "PIP_TARGET": str(site)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(tmp_path)
    yield Page(tmp_path, capsys)
    for name in BRINGS & set(sys.modules):
        del sys.modules[name]
    plugins.table.cache_clear()


def answer(printed: dict[str, str], begin: str) -> str:
    """What the only command that begins so printed."""
    (found,) = (text for line, text in printed.items() if line.startswith(begin))
    return found


def test_the_page_of_a_target(page: Page) -> None:
    printed = page.run("new-target.md")
    assert "3 of 16 lanes" in (DOCS / "new-target.md").read_text().replace("\n", " ")
    assert "at once along lanes (of 16): c 3" in answer(printed, "codesign explain")
    useless = re.search(r"changes nothing: (.*)", answer(printed, "codesign explain"))
    assert useless and "elements along lanes" in useless[1]
    assert "modelled, not measured" in answer(printed, "codesign bench")
    assert "simulated on" in answer(printed, "codesign run")
    swept = answer(printed, "codesign estimate net:example --target dot --sweep")
    times = {m[1]: float(m[2]) for m in re.finditer(r"dot\{(\S+)\}[ *]*\S+ +(\S+)", swept)}
    assert times["lanes=16,over=cs"] < 0.5 * times["lanes=16,over=c"]
    assert (page.folder / "answers.npz").exists()


def test_the_target_takes_less_than_a_hundred_lines() -> None:
    blocks = BLOCK.findall((DOCS / "new-target.md").read_text())
    assert sum(len(text.splitlines()) for _, text in blocks) < 100


def test_the_page_of_a_pass(page: Page) -> None:
    printed = page.run("new-pass.md")
    assert "3 passed" in answer(printed, "pytest")
    assert "most = 1.0: float" in answer(printed, "codesign passes")
    assert "merge-linear{most=0.9}" in answer(printed, "codesign compile")
    assert "merge-linear{most=0.9}: " in answer(printed, "codesign explain out/ 1")
    assert "not done: " in answer(printed, "codesign explain out/ 4")
