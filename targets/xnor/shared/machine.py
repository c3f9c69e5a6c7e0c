"""The shared engine from its TOML file, every key checked, and its law of cycles."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from codesign.errors import MachineError, UnknownNameError
from codesign.machine import units
from codesign.targets.xnor.device import read_table, text, texts, whole
from codesign.targets.xnor.layer import Layer

XNE = Path(__file__).with_name("xne.toml")
THRESHOLD_BITS = 16


@dataclass(frozen=True)
class Shared:
    """`lanes` products of signs a cycle, sums of `accumulator` bits, `op` in pJ, `clock` in Hz."""

    name: str
    clock: float
    lanes: int
    accumulator: int = 16
    op: float = 0.0
    cite: str = ""
    assumptions: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"engine {self.name}: {self.lanes} lanes, {self.clock / 1e6:g} MHz"
        yield f"  sums of {self.accumulator} b, {self.op * 1e3:g} fJ an operation"
        yield from (f"  assumed: {assumption}" for assumption in self.assumptions)
        if self.cite:
            yield f"  from: {self.cite}"


@dataclass(frozen=True)
class Work:
    """Cycles of an image of a layer on the shared engine, and what they are spent on.

    For each block of at most `lanes` output channels: its thresholds, `lanes` / 16 of them a cycle
    for each value of codes that leaves;
    for each pixel and each block of at most `lanes` inputs of a tap a cycle that loads the inputs
    and one for each output channel of the block, which reads `lanes` weights; then the results: a
    word of codes, or 16 bits a sum. (Conti et al., TCAD 2018, section III: the loop nest; what lies
    around the products is assumed.)
    """

    load: int
    products: int
    write: int
    thresholds: int

    @property
    def cycles(self) -> int:
        """All of them: nothing overlaps."""
        return self.load + self.products + self.write + self.thresholds


def work(layer: Layer, machine: Shared) -> Work:
    """What a layer takes."""
    lanes = machine.lanes
    taps, inputs = taps_of(layer)
    steps = taps * -(-inputs // lanes)
    load = products = write = thresholds = 0
    for size in blocks(layer.rows, lanes):
        load += layer.vectors * steps
        products += layer.vectors * steps * size
        words = [-(-size * (bits or THRESHOLD_BITS) // lanes) for bits in layer.levels]
        write += layer.vectors * sum(words)
        heads = sum(level > 0 for level in layer.levels)
        thresholds += heads * -(-size * THRESHOLD_BITS // lanes)
    return Work(load, products, write, thresholds)


def taps_of(layer: Layer) -> tuple[int, int]:
    """Taps of a window and inputs of each."""
    channels = layer.map.channels if layer.window is not None else layer.columns
    return layer.columns // channels, channels


def blocks(count: int, lanes: int) -> list[int]:
    """Sizes of blocks of at most `lanes`."""
    return [min(lanes, count - start) for start in range(0, count, lanes)]


@lru_cache(maxsize=32)
def parse_shared(content: str, where: str = "engine") -> Shared:
    """The engine that a TOML text describes; MachineError, naming key and expectation, if none."""
    try:
        found = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise MachineError(f"{where} is no TOML: {error}") from None
    try:
        return _shared(found)
    except (MachineError, UnknownNameError) as error:
        raise MachineError(f"{where}: {error}") from None


def _shared(content: Mapping[str, Any]) -> Shared:
    if set(content) != {"engine"}:
        raise MachineError(f"tables are {sorted(content)}, expected [engine] alone")
    found = read_table(READERS, "engine", content["engine"], ("name", "clock", "lanes"))
    return Shared(**found)


def _bits(value: object, key: str) -> int:
    count = whole(value, key)
    if not 1 <= count <= 1 << 16:
        raise MachineError(f"{key} is {value!r}, expected 1 to {1 << 16}")
    return count


READERS = {
    "name": text,
    "clock": lambda value, key: units.quantity(value, units.FREQUENCY, key),
    "lanes": _bits,
    "accumulator": _bits,
    "op": lambda value, key: units.quantity(value, units.ENERGY, key),
    "cite": text,
    "assumptions": texts,
}
