"""The instruction set of the machine at hand."""

from codesign.runtime.host import architecture, features
from codesign.targets.tvm.isa import ISAS


def host_isa() -> str:
    """The best instruction set that this machine runs."""
    for name, isa in ISAS.items():
        if isa.triple.startswith(architecture()) and set(isa.requires) <= features():
            return name
    return "generic"
