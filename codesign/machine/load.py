"""A machine from its TOML file, every key checked.

[machine] name, clock, technology, voltage, area, idle, padding, whole_tiles, cite, assumptions,
energies (the name of a table in `energies`, for what has no `read`, `write` or `mac` of its own);
[[memory]] from the outermost to the innermost; [[axis]]; [datapath]; [timing]; [mapping]. See
`machine` for what each key says.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from codesign.errors import MachineError, UnknownNameError
from codesign.machine import units
from codesign.machine.check import check
from codesign.machine.energies import TABLES, Energies
from codesign.machine.machine import (
    LOOPS,
    OPERANDS,
    Axis,
    Datapath,
    Machine,
    Memory,
    Policy,
    Timing,
)
from codesign.machine.units import quantity

Reader = Callable[[object, str], Any]
Keys = Mapping[str, Reader]
LARGEST = 1 << 63


def load_machine(path: Path | str) -> Machine:
    """The machine that the TOML file at `path` describes; MachineError if it does not."""
    return parse_machine(read_machine(path), str(path))


def read_machine(path: Path | str) -> str:
    """The text of the machine file at `path`; MachineError if it cannot be read."""
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin with a byte order mark
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MachineError(f"machine file {path} cannot be read: {why}") from None


def parse_machine(text: str, where: str = "machine") -> Machine:
    """The machine that TOML `text` describes; `where` names it in messages."""
    content = _content(text, where)
    try:
        machine = _machine(content)
        check(machine)
    except (MachineError, UnknownNameError) as error:
        raise MachineError(f"{where}: {error}") from None
    return machine


def _content(text: str, where: str) -> dict[str, Any]:
    """What TOML `text` says, in tables as deep and integers as long as can be shown."""
    try:
        found = tomllib.loads(text)
        _check_integers(found)
    except tomllib.TOMLDecodeError as error:
        raise MachineError(f"{where} is no TOML: {error}") from None
    except ValueError:
        raise MachineError(f"{where}: an integer has more than TOML's 64 bits") from None
    except RecursionError:
        raise MachineError(f"{where} is nested too deep; expected tables of keys") from None
    return found


def _check_integers(value: object) -> None:
    """ValueError for integers that TOML does not have: Python would not show the longest."""
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise ValueError
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            _check_integers(one)


def _machine(content: Mapping[str, Any]) -> Machine:
    tables: Keys = {
        "machine": partial(_table, MACHINE, needs=("name", "clock")),
        "memory": partial(_tables, MEMORY, Memory, ("name", "holds")),
        "axis": partial(_tables, AXIS, Axis, ("name", "size", "unroll")),
        "datapath": lambda given, key: Datapath(**_table(DATAPATH, given, key)),
        "timing": lambda given, key: Timing(**_table(TIMING, given, key)),
        "mapping": lambda given, key: Policy(**_table(MAPPING, given, key)),
    }
    found = _table(tables, content, "", needs=("machine", "memory", "axis"))
    table = found["machine"].pop("energies", None)
    made = Machine(
        **found["machine"],
        memories=found["memory"],
        axes=found["axis"],
        datapath=found.get("datapath", Datapath()),
        timing=found.get("timing", Timing()),
        mapping=found.get("mapping", Policy()),
    )
    _check_unlimited(made, content)
    return made if table is None else _priced(made, TABLES[table], content)


def _check_unlimited(machine: Machine, content: Mapping[str, Any]) -> None:
    """An inner memory without end is one only where its file says so, and what it costs."""
    outer = {machine.levels(o)[0].name for o in OPERANDS if machine.levels(o)}
    for memory, given in zip(machine.memories, content["memory"], strict=True):
        if memory.capacity < inf or memory.name in outer:
            continue
        if "capacity" not in given:
            raise MachineError(
                f"memory {memory.name}.capacity is missing, which only the outermost memory may "
                'leave out; write a size such as "64 KiB", or "unlimited" with its own read and '
                "write"
            )
        lacks = [key for key in ("read", "write") if key not in given]
        if lacks:
            raise MachineError(
                f'memory {memory.name}.capacity is "unlimited" inside another memory, so no table '
                f'tells its energy; write {" and ".join(lacks)} too, such as "2 pJ"'
            )


def _priced(machine: Machine, table: Energies, content: Mapping[str, Any]) -> Machine:
    """`machine` with energies of `table` where its file gives none."""
    path, memories = machine.datapath, []
    for memory, given in zip(machine.memories, content["memory"], strict=True):
        each = table.access(memory.capacity, memory.width)
        read = memory.read if "read" in given else each
        write = memory.write if "write" in given else each
        memories.append(replace(memory, read=read, write=write))
    if "mac" not in content.get("datapath", {}):
        path = replace(path, mac=table.mac(max(path.input), max(path.weight), path.accumulator))
    return replace(machine, memories=tuple(memories), datapath=path)


def _table(keys: Keys, given: object, key: str, needs: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a table by key, each read by its reader."""
    if not isinstance(given, Mapping):
        raise MachineError(f"{key} is {given!r}, expected a table [{key}]")
    prefix = f"{key}." if key else ""
    for name in given:
        if name not in keys:
            raise UnknownNameError("key", f"{prefix}{name}", [f"{prefix}{k}" for k in keys])
    for name in needs:
        if name not in given:
            raise MachineError(f"{prefix}{name} is missing")
    return {name: keys[name](value, f"{prefix}{name}") for name, value in given.items()}


def _tables(
    keys: Keys, make: Callable[..., Any], needs: Sequence[str], given: object, key: str
) -> tuple[Any, ...]:
    """A list of tables as objects; messages say them by their names where they have one."""
    if not isinstance(given, list) or not given:
        raise MachineError(f"{key} is {given!r}, expected one or more tables [[{key}]]")
    found = []
    for number, one in enumerate(given):
        name = one.get("name") if isinstance(one, Mapping) else None
        name = name if isinstance(name, str) and name.isprintable() else None
        found.append(make(**_table(keys, one, f"{key} {name or number}", needs)))
    return tuple(found)


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MachineError(f"{key} is {value!r}, expected some text in quotes")
    if not all(letter.isprintable() or letter in "\t\n" for letter in value):
        raise MachineError(f"{key} is {value!r}, expected text without control characters")
    return value


def _name(value: object, key: str) -> str:
    text = _text(value, key)
    if not text.isprintable() or text != text.strip():
        raise MachineError(f"{key} is {text!r}, expected a name: printable, no space around it")
    return text


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise MachineError(f"{key} is {value!r}, expected true or false")
    return value


def _whole(value: object, key: str, low: int = 0, high: int = 2**40) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MachineError(f"{key} is {value!r}, expected a whole number from {low} to {high}")
    return value


def _list(one: Reader, value: object, key: str) -> tuple[Any, ...]:
    items = value if isinstance(value, list) else [value]
    found = tuple(one(item, key) for item in items)
    if not found or len(set(found)) < len(found):
        raise MachineError(f"{key} is {value!r}, expected one or more, each once")
    return found


def _word(words: Sequence[str], value: object, key: str) -> str:
    if value not in words:
        raise MachineError(f"{key} is {value!r}, expected one of {', '.join(words)}")
    return str(value)


def _quantity(kind: units.Kind, value: object, key: str) -> float:
    return quantity(value, kind, key)


def _bits(value: object, key: str) -> int:
    """A number of bits: a size, or a bare number of bits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _whole(value, key, 1, 1 << 20)
    size = quantity(value, units.SIZE, key)
    if not size.is_integer() or size > 1 << 20:
        raise MachineError(f"{key} is {value!r}, expected 1 to {1 << 20} b, a whole number of them")
    return int(size)


def _packed(value: object, key: str) -> Mapping[str, str]:
    one: Reader = partial(_word, ("rlc", "csc", "bitmap"))
    return _table(dict.fromkeys(OPERANDS, one), value, key)


def _flow(value: object, key: str) -> Mapping[str, float]:
    """A flow of all operands, or a table of flows by operand."""
    one: Reader = partial(_quantity, units.FLOW)
    if not isinstance(value, Mapping):
        return {"all": one(value, key)}
    return _table(dict.fromkeys(("all", *OPERANDS), one), value, key)


def _overlap(value: object, key: str) -> tuple[str, ...]:
    """Operands; true and false for all and none."""
    if isinstance(value, bool):
        return OPERANDS if value else ()
    return tuple(_operands(value, key))


def _most(value: object, key: str) -> Mapping[str, int]:
    one: Reader = partial(_whole, low=1)
    return _table(dict.fromkeys(LOOPS, one), value, key)


def _number(value: object, key: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise MachineError(f"{key} is {value!r}, expected a number from 1 to 1000")
    return float(value)


_operands: Reader = partial(_list, partial(_word, OPERANDS))
_texts: Reader = partial(_list, _text)
_widths: Reader = partial(_list, partial(_whole, low=1, high=32))
_loops: Reader = partial(_list, partial(_word, LOOPS))

MACHINE: Keys = {
    "name": _name,
    "clock": partial(_quantity, units.FREQUENCY),
    "technology": partial(_quantity, units.LENGTH),
    "voltage": partial(_quantity, units.VOLTAGE),
    "area": partial(_quantity, units.AREA),
    "idle": partial(_quantity, units.POWER),
    "padding": _flag,
    "whole_tiles": _flag,
    "cite": _text,
    "assumptions": _texts,
    "energies": partial(_word, tuple(TABLES)),
}
MEMORY: Keys = {
    "name": _name,
    "holds": _operands,
    "capacity": partial(_quantity, units.SIZE),
    "width": _bits,
    "read": partial(_quantity, units.ENERGY),
    "write": partial(_quantity, units.ENERGY),
    "flow": _flow,
    "ports": partial(_whole, low=1, high=2),
    "along": _texts,
    "double": _flag,
    "multicast": _flag,
    "overlap": _overlap,
    "packed": _packed,
    "begins": _flag,
    "sliding": _flag,
    "reload": _flag,
    "loops": _loops,
    "stays": partial(_word, OPERANDS),
    "most": _most,
    "apart": _flag,
}
AXIS: Keys = {
    "name": _name,
    "size": partial(_whole, low=1, high=1 << 20),
    "unroll": _texts,
    "sums": _flag,
    "fused": _flag,
    "whole": _flag,
}
DATAPATH: Keys = {
    "kind": partial(_word, ("parallel", "serial", "fused")),
    "input": _widths,
    "weight": _widths,
    "accumulator": partial(_whole, low=1, high=64),
    "partial": partial(_whole, low=1, high=64),
    "serial": _operands,
    "brick": partial(_whole, low=1, high=16),
    "gate": _operands,
    "skip": _operands,
    "mac": partial(_quantity, units.ENERGY),
    "gated": partial(_quantity, units.ENERGY),
}
TIMING: Keys = {
    "stationary": partial(_word, OPERANDS),
    "load": partial(_whole),
    "skew": partial(_whole),
    "hidden": _flag,
    "first": _flow,
}
MAPPING: Keys = {
    "order": _texts,
    "divide": _loops,
    "powers": _loops,
    "square": _flag,
    "unfold": partial(_word, ("none", "first", "all")),
    "merge": _flag,
    "compress": _number,
    "batch": _text,
    "hidden": _texts,
}
