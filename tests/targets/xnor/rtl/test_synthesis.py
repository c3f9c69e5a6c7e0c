"""What placed designs say of a device, and that its file says the same."""

import json

import pytest

from benchmarks.common import RESULTS
from codesign.errors import MachineError
from codesign.targets.xnor.device import DEVICES, parse_device
from codesign.targets.xnor.rtl.synthesis import Placed, _cells, _read

FILES = ("ecp5_25f", "ecp5_85f")


@pytest.mark.parametrize("name", FILES)
def test_devices_have_what_placed_designs_took(name: str) -> None:
    rows = {r["name"]: r for r in json.loads((RESULTS / "rtl.json").read_text())["rows"]}
    device = parse_device((DEVICES / f"{name}.toml").read_text(encoding="utf-8"))
    assert device.lut_ratio == rows["lut_ratio of LFE5U"]["value"]
    assert device.clock == rows["clock of LFE5U"]["value"] * 1e6
    assert device.room("luts") == int(device.luts * device.share / device.lut_ratio)
    assert device.room("bram18") == device.bram18


@pytest.mark.parametrize("ratio", ["0", "-1", "true", '"2"', "1e9"])
def test_a_ratio_that_is_none_is_refused(ratio: str) -> None:
    text = (DEVICES / "ecp5_25f.toml").read_text(encoding="utf-8")
    lines = [f"lut_ratio = {ratio}" if x.startswith("lut_ratio") else x for x in text.splitlines()]
    with pytest.raises(MachineError, match=r"device\.lut_ratio is"):
        parse_device("\n".join(lines))


def test_cells_and_clock_are_read_from_the_tools_reports() -> None:
    kinds = ["LUT4", "TRELLIS_DPR16X4", "TRELLIS_DPR16X4", "TRELLIS_FF"]
    made = {str(number): {"type": kind} for number, kind in enumerate(kinds)}
    cells = _cells({"modules": {"engine": {"cells": made}}})
    used = {"TRELLIS_COMB": {"used": 9.0}, "TRELLIS_FF": {"used": 4.0}, "DP16KD": {"used": 2.0}}
    clocks = {"clk": {"achieved": 81.5, "constraint": 100.0}}
    found = _read({"utilization": used, "fmax": clocks}, "", cells)
    assert found == Placed(9, 8, 4, 2, 0, 81.5)
