"""Energies of accesses and multiplications where a machine file gives none, from published tables.

What a memory costs grows with the square root of its size between the sizes of a table, as wires
do, and beyond them; what a multiplication costs with the product of its operands' bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log

WORD = 64  # bits of an access in the tables


@dataclass(frozen=True)
class Energies:
    """pJ for 64 b from memories on the chip by their bytes, from `dram`; of arithmetic by bits.

    `cite` is where the figures are from, `technology` in nm.
    """

    cite: str
    technology: float
    dram: float
    memories: Mapping[int, float]
    multiply: Mapping[int, float]
    add: Mapping[int, float]

    def access(self, capacity: float, width: int) -> float:
        """pJ of an access of `width` bits to a memory of `capacity` bits (inf: outside)."""
        if capacity == inf:
            return self.dram * width / WORD
        return _between(self.memories, capacity / 8, 0.5) * width / WORD

    def mac(self, input_bits: int, weight_bits: int, accumulator: int) -> float:
        """pJ of a multiplication and of adding its product."""
        product = _between({b * b: pj for b, pj in self.multiply.items()}, input_bits * weight_bits)
        return product + _between(self.add, accumulator)


def _between(table: Mapping[int, float], at: float, power: float = 1.0) -> float:
    """The value of `table` at `at`: a power law between neighbours, of `power` outside of them."""
    keys = sorted(table)
    if at <= keys[0]:
        return table[keys[0]] * float((at / keys[0]) ** power)
    if at >= keys[-1]:
        return table[keys[-1]] * float((at / keys[-1]) ** power)
    high = next(key for key in keys if key >= at)
    low = keys[keys.index(high) - 1]
    steep = log(table[high] / table[low]) / log(high / low)
    return float(table[low] * (at / low) ** steep)


TABLES = {
    "horowitz-45nm": Energies(
        "Horowitz, Computing's energy problem, ISSCC 2014, figure 1.1.9 (DRAM at its lower end)",
        45,
        1300.0,
        {8 << 10: 10.0, 32 << 10: 20.0, 1 << 20: 100.0},
        {8: 0.2, 32: 3.1},
        {8: 0.03, 32: 0.1},
    ),
    "sparseloop-45nm": Energies(
        "the energy tables of Wu, Tsai, Parashar, Sze, Emer, Sparseloop, MICRO 2022, for Eyeriss "
        "(a buffer of 108 KiB, a scratch pad of 448 B)",
        45,
        512.0,
        {448: 2.84, 108 << 10: 49.2},
        {16: 2.1},
        {32: 0.1},
    ),
}
