"""Tables fit narrow terminals without breaking words."""

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from codesign.cli import ledger, tables

ROW: Mapping[str, Any] = {
    "step": "factorize-svd{by=energy, keep=0.95}",
    "parameters": 106442,
    "stored_bytes": 425768,
    "entropy_bytes": 380000,
    "macs": 4_200_000,
    "bit_operations": 4_300_000_000,
    "estimated_ms": 0.0313,
    "measured_ms": 0.0341,
    "energy_uj": None,
    "accuracy": 0.9404,
    "snr_db": None,
    "seconds": 1.25,
    "samples": 1024,
    "samples_of": 4000,
    "scored_on": "validation",
    "remark": "",
    "notes": [],
}


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    console = Console(width=width, no_color=True, highlight=False)
    for module in (tables, ledger):
        monkeypatch.setattr(module, "console", lambda: console)
    with console.capture() as captured:
        ledger.show_ledger([{**ROW, "step": "input"}, ROW])
    return captured.get()


def test_a_title_is_one_line_however_narrow_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=80, no_color=True, highlight=False)
    monkeypatch.setattr(tables, "console", lambda: console)
    with console.capture() as captured:
        tables.show_table("network on cpu{threads=2}", (("op", str),), ["a", "b"])
    assert captured.get().splitlines()[0].rstrip() == "network on cpu{threads=2}"


def test_a_wide_terminal_shows_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    heading = shown(200, monkeypatch).splitlines()[2]
    for name in ("parameters", "entropy", "bit ops", "predicted ms", "accuracy"):
        assert name in heading


@pytest.mark.parametrize("width", [80, 100])
def test_a_narrow_one_breaks_no_word(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(width, monkeypatch)
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    assert "entropy" not in words and "bit" not in words
    row = next(line for line in text.splitlines() if "factorize-svd" in line)
    assert "factorize-svd{by=energy, keep=0.95} " in row
    assert row.split()[2:4] == ["415.8", "KiB"] or "106k" in row
    assert row.split()[-2:] == ["94.04", "%"]
    for word in ("predicted", "measured", "accuracy", "stored"):
        assert word in words


def test_a_pass_that_was_undone_says_so_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=200, no_color=True, highlight=False)
    for module in (tables, ledger):
        monkeypatch.setattr(module, "console", lambda: console)
    kept, undone = ({**ROW, "refused": gone, "speedup": 1.375} for gone in (False, True))
    with console.capture() as captured:
        ledger.show_ledger([ROW, kept, undone])
    rows = [line for line in captured.get().splitlines() if "factorize-svd" in line]
    assert ["1.38x" in row for row in rows] == [False, True, True]
    assert ["keep=0.95} (refused)" in row for row in rows] == [False, False, True]
