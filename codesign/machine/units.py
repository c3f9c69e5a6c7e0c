"""Quantities with units: "108 KiB", "200 MHz", "0.48 GB/s", "64 b/cycle", "460 pJ", "65 nm".

Each kind has one unit in which it is kept; every unit of a kind is a multiple of that one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

from codesign.errors import MachineError

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")
_DECIMAL = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def _prefixed(prefixes: Mapping[str, float], unit: str, scale: float) -> dict[str, float]:
    return {f"{prefix}{unit}": factor * scale for prefix, factor in prefixes.items()}


_BITS = {
    **_prefixed({**_DECIMAL, **_BINARY}, "b", 1.0),
    **_prefixed({**_DECIMAL, **_BINARY}, "B", 8.0),
}


@dataclass(frozen=True)
class Kind:
    """A kind of quantity: its name, the unit it is kept in, and each unit's size in that one."""

    name: str
    kept: str
    units: Mapping[str, float]
    example: str


SIZE = Kind("size", "b", _BITS, "108 KiB")
FREQUENCY = Kind("frequency", "Hz", {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}, "200 MHz")
ENERGY = Kind("energy", "pJ", {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "uJ": 1e6}, "2 pJ")
RATE = Kind("rate", "b/s", {f"{unit}/s": size for unit, size in _BITS.items()}, "25.6 GB/s")
FLOW = Kind("flow", "b/cycle", {f"{u}/cycle": s for u, s in _BITS.items()}, "64 b/cycle")
LENGTH = Kind("length", "nm", {"nm": 1.0, "um": 1e3}, "65 nm")
AREA = Kind("area", "mm2", {"um2": 1e-6, "mm2": 1.0}, "12.25 mm2")
POWER = Kind("power", "mW", {"uW": 1e-3, "mW": 1.0, "W": 1e3}, "30 mW")
VOLTAGE = Kind("voltage", "V", {"mV": 1e-3, "V": 1.0}, "1.0 V")


def quantity(text: object, kind: Kind, key: str) -> float:
    """The number of kept units that `text` says; MachineError naming `key` and the units if not.

    Numbers are finite and not negative; a size may be "unlimited".
    """
    if kind is SIZE and text == "unlimited":
        return inf
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in kind.units:
        raise MachineError(f"{key} is {text!r}, expected {_expected(kind, text)}")
    value = float(found[1]) * kind.units[found[2]]
    if not isfinite(value) or value < 0:
        raise MachineError(f"{key} is {text!r}, expected a {kind.name} that is not negative")
    return value


def _expected(kind: Kind, text: object) -> str:
    units = ", ".join(sorted(kind.units, key=lambda unit: (kind.units[unit], unit)))
    bare = isinstance(text, int | float) and not isinstance(text, bool)
    hint = f'; write the unit too, as in "{text} {kind.kept}"' if bare else ""
    return f'a {kind.name} with its unit, such as "{kind.example}" (units: {units}){hint}'
