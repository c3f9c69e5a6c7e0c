"""`codesign sensitivity`: the table that widths are chosen by."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from codesign import plugins
from tests.cli.running import Cli, refused
from tests.small import small_input

MODEL = "tests.small:small_program"


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "c.npz"
    np.savez(path, x=small_input(6))
    return path


@pytest.fixture
def bricks(monkeypatch: pytest.MonkeyPatch) -> str:
    """A target with many widths, as if another package had brought it."""
    usual = plugins.table

    def table(what: str) -> Mapping[str, str]:
        more = {"bricks": "tests.passes.bricks:Bricks"} if what == "target" else {}
        return {**usual(what), **more}

    monkeypatch.setattr(plugins, "table", table)
    return "bricks"


def test_a_row_for_each_layer_and_pair(cli: Cli, bricks: str, calibration: Path) -> None:
    done = cli(
        "sensitivity", MODEL, "--target", bricks, "--calibration", calibration, "--samples", 4
    )
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines() if "%" in line]
    assert [line[0] for line in lines] == ["%first"] * 16 + ["%second"] * 16
    assert lines[0][1:4] == ["conv", "2", "2"]
    assert all(word in done.out for word in ("SNR", "dB", "bytes", "uJ", "2 layers"))


@pytest.mark.parametrize("measure", ["output", "hessian"])
def test_its_json(cli: Cli, bricks: str, calibration: Path, measure: str) -> None:
    arguments = ("--calibration", calibration, "--measure", measure, "--json")
    done = cli("sensitivity", MODEL, "--target", bricks, *arguments)
    assert done.code == 0, done.err
    found = done.json
    assert (found["model"], found["target"], found["measure"]) == ("small", "bricks", measure)
    assert len(found["rows"]) == 32
    row = found["rows"][0]
    assert (row["layer"], row["weight_bits"], row["activation_bits"]) == ("first", 2, 2)
    assert row["snr_db"] < found["rows"][-1]["snr_db"]
    assert row["bytes"] > 0 and row["latency_ms"] > 0 and row["energy_uj"] > 0


def test_on_the_cpu_there_are_eight_bits(cli: Cli, calibration: Path) -> None:
    target = "cpu{isa=avx512-vnni}"
    done = cli("sensitivity", MODEL, "--target", target, "--calibration", calibration, "--json")
    rows = [(r["layer"], r["weight_bits"], r["activation_bits"]) for r in done.json["rows"]]
    assert rows == [("first", 8, 8), ("second", 8, 8)]
    assert all(r["energy_uj"] is None and r["snr_db"] > 30 for r in done.json["rows"])


def test_refusals(cli: Cli, calibration: Path) -> None:
    refused(cli("sensitivity", MODEL), 2, "sensitivity", "--calibration")
    done = cli("sensitivity", MODEL, "--calibration", calibration, "--measure", "guess")
    refused(done, 2, "measure", "output", "hessian")


def test_where_layers_get_codes_anyway_they_are_open_all_the_same(
    cli: Cli, calibration: Path
) -> None:
    asked = ("--target", "bitfusion", "--calibration", calibration, "--samples", 2)
    for more in ((), ("--passes", "prune-magnitude{sparsity=0.5},quantize-int8,assign-bits")):
        done = cli("sensitivity", MODEL, *asked, *more, "--json")
        assert done.code == 0, done.err
        assert {row["layer"] for row in done.json["rows"]} == {"first", "second"}
        assert len(done.json["rows"]) == 32 and done.json["in_codes"] == []
    assert "2 layers whose widths are open; the rest" in cli("sensitivity", MODEL, *asked).out
