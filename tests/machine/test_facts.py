"""What is told of machines: the page of their keys, and `codesign targets`."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from codesign import plugins
from codesign.machine import units
from codesign.machine.energies import TABLES
from codesign.machine.facts import facts, lines
from codesign.machine.load import AXIS, DATAPATH, MACHINE, MAPPING, MEMORY, TIMING
from codesign.machine.machine import LOOPS, Axis, Datapath, Machine, Memory, Policy, Timing
from tests.cli.running import Cli, refused

PAGE = Path("docs/machine-files.md").read_text(encoding="utf-8")
PARTS = {"memories", "axes", "datapath", "timing", "mapping"}  # tables of their own
TABLE = {
    "[machine]": (Machine, MACHINE),
    "[[memory]]": (Memory, MEMORY),
    "[[axis]]": (Axis, AXIS),
    "[datapath]": (Datapath, DATAPATH),
    "[timing]": (Timing, TIMING),
    "[mapping]": (Policy, MAPPING),
}


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.mark.parametrize("title", TABLE)
def test_the_page_has_every_key_and_no_other(title: str) -> None:
    made, keys = TABLE[title]
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(shown) == sorted(keys)
    assert {field.name for field in fields(made)} - PARTS <= set(shown)


def test_the_page_has_every_loop_quantity_and_table() -> None:
    assert sorted(re.findall(r"\| `(\w)` \|", PAGE.partition("## [machine]")[0])) == sorted(LOOPS)
    for kind in (k for k in vars(units).values() if isinstance(k, units.Kind)):
        if kind is not units.RATE:
            row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.name} |"))
            low, high = (cell.split()[0] for cell in row.split(" | ")[2:])
            assert (float(low), float(high)) == (kind.low, kind.high)
            assert ("or 0" in row) == kind.none
    assert all(f'"{name}"' in PAGE for name in TABLES)


@pytest.mark.parametrize("page", ["README.md", "docs/new-target.md"])
def test_the_page_is_found(page: str) -> None:
    assert "machine-files.md" in Path(page).read_text(encoding="utf-8")


def test_a_machine_in_short() -> None:
    machine = plugins.make("target", "eyeriss").machine
    text = "\n".join(lines(machine))
    assert text.startswith("machine eyeriss: 12 rows x 14 columns, 200 MHz, 65 nm\n")
    for part in (
        "rows take loops r, c, m, y",
        "16 b inputs and 16 b weights, sums of 32 b",
        "dram: unlimited room for input, weight, output",
        "buffer: 96 KiB for input, output",
        "filter spad: 168 of 448 B for weight",
        f"assumed: {machine.assumptions[0]}",
        f"from: {machine.cite}",
    ):
        assert part in text
    told = facts(machine)
    assert (told["elements"], told["clock_hz"], told["windows"]) == (168, 200e6, None)
    assert told["memories"][0]["bits"] is None
    assert told["memories"][3] == {
        "name": "filter spad",
        "holds": ["weight"],
        "bits": 448 * 8,
        "count": 168,
    }


def test_the_verb_shows_the_machine(cli: Cli) -> None:
    assert "machine eyeriss: 12 rows x 14 columns" in cli("targets", "eyeriss").out
    assert cli("targets", "systolic{array=4x8}", "--json").json["machine"]["elements"] == 32
    systolic = cli("targets", "systolic").out
    assert "windows laid out in DRAM" in systolic and "1024 of 1 B for weight" in systolic
    path = "targets/spatial/machines/tpu_v1.toml"
    assert "machine tpu_v1: 256 rows" in cli("targets", path).out
    for name in ("machine", "cpu"):  # none, or none yet
        assert "options:" in cli("targets", name).out
        assert "machine" not in cli("targets", name, "--json").json
    refused(cli("targets", "systolic{array=4}"), 2, "expected rows x columns")
    refused(cli("targets", "eyeris"), 2, "did you mean eyeriss")
