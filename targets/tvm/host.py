"""The instruction set of the machine at hand."""

import platform
from functools import cache

from codesign.targets.tvm.isa import ISAS


@cache
def features() -> frozenset[str]:
    """CPU features as the kernel of the operating system names them; empty where it does not."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):
                    return frozenset(value.split())
    except OSError:
        pass
    return frozenset()


def host_isa() -> str:
    """The best instruction set that this machine runs."""
    family = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    machine = family.get(platform.machine(), "")
    for name, isa in ISAS.items():
        if isa.triple.startswith(machine) and set(isa.requires) <= features():
            return name
    return "generic"
