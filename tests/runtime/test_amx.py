"""The permission to use AMX tile registers."""

import platform
import sys
from pathlib import Path

from codesign.runtime.amx import enable_amx


def test_it_is_given_exactly_where_the_cpu_has_tiles() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    has = cpuinfo.exists() and " amx_tile" in cpuinfo.read_text()
    linux = sys.platform == "linux" and platform.machine() == "x86_64"
    assert enable_amx() == (has and linux)
    assert enable_amx() == enable_amx()
