"""Quantities with units: "108 KiB", "200 MHz", "0.48 GB/s", "64 b/cycle", "460 pJ", "65 nm".

Each kind has one unit in which it is kept; every unit of a kind is a multiple of that one. Each has
a range, wide around what is built, so that no cost overflows and a wrong unit is seen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from codesign.errors import MachineError

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*", re.ASCII)
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
    """A kind of quantity: its name, the unit it is kept in, and each unit's size in that one.

    What is taken is from `low` to `high` of the kept unit, and 0 if there may be `none` of it.
    """

    name: str
    kept: str
    units: Mapping[str, float]
    example: str
    low: float
    high: float
    none: bool = False

    @property
    def range(self) -> str:
        """What is taken, in words."""
        zero = "0 or " if self.none else ""
        return f"{zero}{self.low:g} {self.kept} to {self.high:g} {self.kept}"

    @property
    def a(self) -> str:
        """The name with its article."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


_HERTZ = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}
_JOULES = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "uJ": 1e6}
_RATES = {f"{unit}/s": size for unit, size in _BITS.items()}
_FLOWS = {f"{unit}/cycle": size for unit, size in _BITS.items()}

SIZE = Kind("size", "b", _BITS, "108 KiB", 1, 1e18)
FREQUENCY = Kind("frequency", "Hz", _HERTZ, "200 MHz", 1, 1e12)
ENERGY = Kind("energy", "pJ", _JOULES, "2 pJ", 1e-9, 1e12, none=True)
RATE = Kind("rate", "b/s", _RATES, "25.6 GB/s", 1, 1e18)
FLOW = Kind("flow", "b/cycle", _FLOWS, "64 b/cycle", 1e-6, 1e12)
LENGTH = Kind("length", "nm", {"nm": 1.0, "um": 1e3}, "65 nm", 0.1, 1e6)
AREA = Kind("area", "mm2", {"um2": 1e-6, "mm2": 1.0}, "12.25 mm2", 1e-6, 1e6)
POWER = Kind("power", "mW", {"uW": 1e-3, "mW": 1.0, "W": 1e3}, "30 mW", 1e-9, 1e9, none=True)
VOLTAGE = Kind("voltage", "V", {"mV": 1e-3, "V": 1.0}, "1.0 V", 1e-3, 1e3)


def quantity(text: object, kind: Kind, key: str) -> float:
    """The number of kept units that `text` says; MachineError naming `key`, units or range if not.

    A size may be "unlimited".
    """
    if kind is SIZE and text == "unlimited":
        return inf
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in kind.units:
        raise MachineError(f"{key} is {text!r}, expected {_expected(kind, text)}")
    value = float(found[1]) * kind.units[found[2]]
    if not (kind.low <= value <= kind.high or (kind.none and value == 0)):
        raise MachineError(f"{key} is {text!r}, expected {kind.a} of {kind.range}")
    return abs(value)


def _expected(kind: Kind, text: object) -> str:
    units = ", ".join(sorted(kind.units, key=lambda unit: (kind.units[unit], unit)))
    bare = isinstance(text, int | float) and not isinstance(text, bool)
    hint = f'; write the unit too, as in "{text} {kind.kept}"' if bare else ""
    return f'{kind.a} with its unit, such as "{kind.example}" (units: {units}){hint}'
