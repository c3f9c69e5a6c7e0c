"""Modules as Verilog, read by Yosys from Amaranth's netlist and checked."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesign.targets.xnor.rtl.tools import check_tool, run_tool

TOP = "engine"
SCRIPT = f"""read_rtlil {TOP}.il
hierarchy -check -top {TOP}
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove amaranth.hierarchy
write_verilog -norename {TOP}.v
"""
LINT = f"""read_verilog {TOP}.v
hierarchy -check -top {TOP}
proc
check -assert
"""


def verilog(module: Any, ports: Sequence[Any]) -> str:
    """`module` with `ports`, clk and rst, as Verilog; MissingPackageError without Yosys."""
    from amaranth.back import rtlil

    check_tool("yosys")
    with tempfile.TemporaryDirectory(prefix="codesign-") as made:
        folder = Path(made)
        text = rtlil.convert(module, name=TOP, ports=list(ports), emit_src=False)
        (folder / f"{TOP}.il").write_text(text, encoding="utf-8")
        (folder / "script.ys").write_text(SCRIPT, encoding="utf-8")
        run_tool("yosys", ["-q", "-s", "script.ys"], folder)
        return (folder / f"{TOP}.v").read_text(encoding="utf-8")


def lint(text: str) -> None:
    """Read Verilog back and check it: ResourceError with Yosys's words if anything is wrong."""
    with tempfile.TemporaryDirectory(prefix="codesign-") as made:
        folder = Path(made)
        (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
        (folder / "lint.ys").write_text(LINT, encoding="utf-8")
        run_tool("yosys", ["-q", "-s", "lint.ys"], folder)
