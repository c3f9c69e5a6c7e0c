"""Verilog on a Lattice ECP5: synthesized by Yosys, placed and routed by nextpnr."""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.targets.xnor.rtl.tools import check_tool, run_tool
from codesign.targets.xnor.rtl.verilog import TOP

SYNTHESIS = f"read_verilog {TOP}.v\nsynth_ecp5 -top {TOP} -json {TOP}.json\n"


@dataclass(frozen=True)
class Placed:
    """What a design takes on the device, in its own cells, and the clock that it closes at.

    `luts` are LUT4s with those that memories and carry chains take, `registers` flip-flops,
    `lutram` the LUT4s that are memory, `bram18` blocks of 18 Kib, `dsp` multipliers of 18 bits,
    `mhz` the clock.
    """

    luts: int
    lutram: int
    registers: int
    bram18: int
    dsp: int
    mhz: float


def place_ecp5(text: str, size: str = "25k", mhz: float = 100.0, seed: int = 1) -> Placed:
    """A design in Verilog on an LFE5U of `size` (25k, 45k, 85k), asked to run at `mhz`."""
    check_tool("nextpnr_ecp5")
    with tempfile.TemporaryDirectory(prefix="codesign-") as made:
        folder = Path(made)
        (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
        (folder / "synthesis.ys").write_text(SYNTHESIS, encoding="utf-8")
        run_tool("yosys", ["-q", "-s", "synthesis.ys"], folder)
        arguments = [
            f"--{size}", "--json", f"{TOP}.json", "--report", "report.json", "--freq", f"{mhz:g}",
            "--seed", str(seed), "--timing-allow-fail", "--lpf-allow-unconstrained",
        ]  # fmt: skip
        said = run_tool("nextpnr_ecp5", arguments, folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        netlist = json.loads((folder / f"{TOP}.json").read_text(encoding="utf-8"))
    return _read(report, said, _cells(netlist))


def _cells(netlist: Any) -> dict[str, int]:
    """How many cells of each type the flat netlist has."""
    found: dict[str, int] = {}
    for cell in netlist["modules"][TOP]["cells"].values():
        kind = str(cell["type"])
        found[kind] = found.get(kind, 0) + 1
    return found


def _read(report: Any, said: str, cells: dict[str, int]) -> Placed:
    used = {name: int(one["used"]) for name, one in report["utilization"].items()}
    clocks = [one["achieved"] for one in report["fmax"].values()]
    fmax = min(clocks) if clocks else float(re.findall(r"([\d.]+) MHz", said)[-1])
    return Placed(
        used.get("TRELLIS_COMB", 0),
        4 * cells.get("TRELLIS_DPR16X4", 0),
        used.get("TRELLIS_FF", 0),
        used.get("DP16KD", 0),
        used.get("MULT18X18D", 0),
        fmax,
    )
