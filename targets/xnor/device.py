"""A programmable device from its TOML file, every key checked.

[device] name, part, clock, luts, lutram (LUTs that can be memory), bram18 (blocks of 18 Kib), dsp,
share (of LUTs that may be used), lut_ratio (its LUTs for one that the model counts), port (bits to
and from the host a cycle), cite, assumptions.
[shell] luts and bram18 of what every design has around its engines. [energy] of a LUT and of a
block of RAM in use, a cycle each.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from codesign.errors import MachineError, UnknownNameError
from codesign.machine import units
from codesign.machine.units import quantity

DEVICES = Path(__file__).parent / "devices"
RESOURCES = ("luts", "lutram", "bram18", "dsp")
Reader = Callable[[object, str], Any]


@dataclass(frozen=True)
class Device:
    """What there is on a device. `clock` in Hz, `port` in bits a cycle, energies in pJ a cycle."""

    name: str
    clock: float
    luts: int
    lutram: int
    bram18: int
    dsp: int
    part: str = ""
    share: float = 1.0
    port: float = 64.0
    cite: str = ""
    assumptions: tuple[str, ...] = ()
    shell_luts: int = 0
    shell_bram18: int = 0
    lut_pj: float = 0.0
    bram18_pj: float = 0.0
    margin: float = 1.0
    lut_ratio: float = 1.0

    def room(self, resource: str) -> int:
        """How much of `resource` the engines of a design may take, the shell taken off."""
        shell = {"luts": self.shell_luts, "bram18": self.shell_bram18}.get(resource, 0)
        of_luts = resource in ("luts", "lutram")
        share, counted = (self.share, self.lut_ratio) if of_luts else (1.0, 1.0)
        return max(0, int((getattr(self, resource) * share - shell) * self.margin / counted))

    def lines(self) -> Iterator[str]:
        """For people."""
        part = f" ({self.part})" if self.part else ""
        yield f"device {self.name}{part}: {self.clock / 1e6:g} MHz, {self.port:g} b a cycle"
        yield (
            f"  {self.luts} LUTs, {self.lutram} of them may be memory, {self.bram18 / 2:g} block "
            f"RAMs of 36 Kib, {self.dsp} DSP slices"
        )
        yield f"  for engines {', '.join(f'{self.room(r)} {r}' for r in RESOURCES)}"
        yield from (f"  assumed: {assumption}" for assumption in self.assumptions)
        if self.cite:
            yield f"  from: {self.cite}"

    def scaled(self, share: float) -> "Device":
        """This device with only `share` of each resource for engines."""
        return replace(self, margin=self.margin * share)


def device_path(name: str) -> Path:
    """The file of the device `name`, or of a path to one; UnknownNameError if there is none."""
    if name.endswith(".toml"):
        return Path(name)
    path = DEVICES / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError("device", name, [p.stem for p in DEVICES.glob("*.toml")])
    return path


@lru_cache(maxsize=32)
def parse_device(content: str, where: str = "device") -> Device:
    """The device that a TOML text describes; MachineError, naming key and expectation, if none."""
    try:
        found = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise MachineError(f"{where} is no TOML: {error}") from None
    try:
        return _device(found)
    except (MachineError, UnknownNameError) as error:
        raise MachineError(f"{where}: {error}") from None


def with_value(content: str, key: str, value: str) -> str:
    """A TOML text with another value of `key`, which stands on a line of its own."""
    return re.sub(rf"(?m)^{key}\s*=.*$", f"{key} = {value}", content, count=1)


def _device(content: Mapping[str, Any]) -> Device:
    for table in content:
        if table not in TABLES:
            raise UnknownNameError("table", table, TABLES)
    if "device" not in content:
        raise MachineError("table [device] is missing; expected its name, clock and resources")
    found = _table("device", content["device"], ("name", "clock", *RESOURCES))
    shell = _table("shell", content.get("shell", {}))
    energy = _table("energy", content.get("energy", {}))
    made = Device(
        **found,
        shell_luts=shell.get("luts", 0),
        shell_bram18=shell.get("bram18", 0),
        lut_pj=energy.get("lut", 0.0),
        bram18_pj=energy.get("bram18", 0.0),
    )
    if made.lutram > made.luts:
        raise MachineError(
            f"device.lutram is {made.lutram}, more than device.luts, {made.luts}: it counts those "
            "of the LUTs that can be memory"
        )
    return made


def _table(name: str, given: object, needs: tuple[str, ...] = ()) -> dict[str, Any]:
    return read_table(TABLES[name], name, given, needs)


def read_table(
    readers: Mapping[str, Reader], name: str, given: object, needs: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of a table by key, each read by its reader; MachineError if a key is wrong."""
    if not isinstance(given, Mapping):
        raise MachineError(f"{name} is {given!r}, expected a table [{name}]")
    for key in given:
        if key not in readers:
            raise UnknownNameError("key", f"{name}.{key}", [f"{name}.{k}" for k in readers])
    for key in needs:
        if key not in given:
            raise MachineError(f"{name}.{key} is missing")
    return {key: readers[key](value, f"{name}.{key}") for key, value in given.items()}


def text(value: object, key: str) -> str:
    """A text in quotes; MachineError if it is none."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise MachineError(f"{key} is {value!r}, expected some printable text in quotes")
    return value


def texts(value: object, key: str) -> tuple[str, ...]:
    """A list of texts; MachineError if it is none."""
    if not isinstance(value, list):
        raise MachineError(f"{key} is {value!r}, expected a list of texts")
    return tuple(text(one, key) for one in value)


def whole(value: object, key: str) -> int:
    """A whole number; MachineError if it is none or too large."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1 << 30:
        raise MachineError(f"{key} is {value!r}, expected a whole number from 0 to {1 << 30}")
    return value


def _share(value: object, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise MachineError(f"{key} is {value!r}, expected a share over 0, at most 1")
    return float(value)


def _ratio(value: object, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 100:
        raise MachineError(f"{key} is {value!r}, expected a number over 0, at most 100")
    return float(value)


def _in(kind: units.Kind) -> Reader:
    return lambda value, key: quantity(value, kind, key)


TABLES: Mapping[str, Mapping[str, Reader]] = {
    "device": {
        "name": text,
        "part": text,
        "clock": _in(units.FREQUENCY),
        **dict.fromkeys(RESOURCES, whole),
        "share": _share,
        "lut_ratio": _ratio,
        "port": _in(units.FLOW),
        "cite": text,
        "assumptions": texts,
    },
    "shell": {"luts": whole, "bram18": whole, "cite": text},
    "energy": {"lut": _in(units.ENERGY), "bram18": _in(units.ENERGY), "cite": text},
}
