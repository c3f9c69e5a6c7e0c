"""What elements of operands are like: how wide, how many of them zero."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from codesign.machine.machine import OPERANDS, Operand


@dataclass(frozen=True)
class Widths:
    """Bits of an element: of the operands, of partial sums and of finished results."""

    input: int
    weight: int
    partial: int
    result: int

    def of(self, operand: Operand) -> int:
        """Bits of an element of `operand` in a memory; results there are partial sums."""
        return {"input": self.input, "weight": self.weight, "output": self.partial}[operand]

    def among(self, names: Iterable[str]) -> Iterator[Operand]:
        """The operands whose names are in `names`."""
        known = set(names)
        return (operand for operand in OPERANDS if operand in known)


@dataclass(frozen=True)
class Densities:
    """Shares of elements that are not zero, each above 0 and at most 1."""

    input: float = 1.0
    weight: float = 1.0
    output: float = 1.0

    def of(self, operand: Operand) -> float:
        """The density of `operand`."""
        return {"input": self.input, "weight": self.weight, "output": self.output}[operand]

    def useful(self, watched: Iterable[Operand]) -> float:
        """Share of multiplications in which no operand of `watched` is zero, if zeros are spread.

        Zeros of different operands count as independent.
        """
        share = 1.0
        for operand in watched:
            share *= self.of(operand)
        return share

    def packed(self, operand: Operand, code: str | None, width: int) -> float:
        """Bits that compressed elements take of what plain ones would.

        `rlc`: three pairs of a 5-bit run of zeros and a value of 16 bits make 64 bits (Chen et al.,
        "Eyeriss", JSSC 2017, section IV), so 64/48 of the values that are not zero; a value of w
        bits takes (w + 16/3) / w. `csc`: a 4-bit count of zeros beside each value (Chen et al.,
        "Eyeriss v2", JETCAS 2019). `bitmap`: a bit an element. None of them is used where it
        would not be shorter.
        """
        overhead = {"rlc": 16 / 3, "csc": 4.0}
        density = self.of(operand)
        if code is None:
            return 1.0
        if code == "bitmap":
            return min(1.0, density + 1 / width)
        return min(1.0, density * (width + overhead[code]) / width)


DENSE = Densities()
