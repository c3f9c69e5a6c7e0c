"""The machine at hand: its architecture, instructions and name."""

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from codesign.runtime.amx import enable_amx

CPUINFO = Path("/proc/cpuinfo")
_ARCHITECTURES = {"AMD64": "x86_64", "arm64": "aarch64"}


def architecture() -> str:
    """The machine's architecture as it stands first in a target triple: x86_64, aarch64, ..."""
    name = platform.machine()
    return _ARCHITECTURES.get(name, name)


@cache
def features() -> frozenset[str]:
    """CPU features as the kernel of the operating system names them; empty where it does not.

    AMX is among them only if this process may use it.
    """
    found = frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())
    amx = frozenset(name for name in found if name.startswith("amx"))
    return found - amx if amx and not enable_amx() else found


def fingerprint() -> dict[str, Any]:
    """What a measurement on this machine must be labelled with."""
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or "unknown",
        "architecture": architecture(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
    }


def device(key: str | None = None) -> dict[str, Any]:
    """What tells this machine's processor from others: measurements hold wherever it is equal.

    Remote devices are told by the RPC `key` that they share.
    """
    if key is not None:
        return {"rpc_key": key}
    keys = ("cpu family", "model", "stepping", "cache size", "CPU implementer", "CPU part")
    found = {"cpu": fingerprint()["cpu"], "architecture": architecture()}
    return found | {key: value for key in keys if (value := _cpuinfo(key))}


def _cpuinfo(key: str) -> str:
    """The first value of `key`, empty if there is none."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")
