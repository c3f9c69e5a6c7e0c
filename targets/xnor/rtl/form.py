"""How the codes on the wires are read: as multiples of their scale, and in their order."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Mux

from codesign.errors import RefusedError
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.targets.xnor.rtl.parts import reach_bits


@dataclass(frozen=True)
class Form:
    """Codes of `bits`; `binary` ones are signs, others whole numbers with `zero` at 0."""

    bits: int
    signed: bool
    binary: bool = False
    zero: int = 0

    def number(self, code: Any) -> Any:
        """The code itself, as codes are compared."""
        return code.as_signed() if self.signed else code.as_unsigned()

    def multiple(self, code: Any) -> Any:
        """What the code is times its scale."""
        if self.binary:
            return Mux(code[0], 1, -1)
        number = self.number(code)
        return number - self.zero if self.zero else number

    @property
    def least(self) -> int:
        """The smallest code on the wires."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def most(self) -> int:
        """The largest code on the wires."""
        return self.least + (1 << self.bits) - 1


def form_of(grid: Grid | None) -> Form:
    """How codes of a value or a constant are read; RefusedError if by several zero points."""
    assert grid is not None
    if isinstance(grid, Int):
        zeros = {int(z) for z in grid.zero.array.ravel()}
        if len(zeros) > 1:
            raise RefusedError(
                f"codes {grid} have several zero points, but a lane's wires are read one way; "
                "quantize with one zero point"
            )
        return Form(grid.code_bits, grid.signed, zero=zeros.pop() if zeros else 0)
    return Form(grid.code_bits, not isinstance(grid, Binary), isinstance(grid, Binary))


def weight_bits(grid: Grid | None) -> int:
    """Bits in which an engine keeps weights: a sign, or multiples in two's complement."""
    assert grid is not None
    return 1 if isinstance(grid, Binary) else reach_bits(*grid.reach)
