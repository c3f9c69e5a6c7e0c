"""One list of weight columns times a tile of activations, wherever those lie."""

from dataclasses import dataclass

from codesign.targets.tvm.epilogue import Buffer, Expr
from codesign.targets.tvm.kernels.sparse_end import Tile
from codesign.targets.tvm.kernels.sparse_point import Point
from codesign.targets.tvm.tir import (
    Function,
    Registers,
    load,
    load_flat,
    multiply_add,
    splat,
)


@dataclass(frozen=True)
class Lists:
    """Weights as lists: where each column begins in `source`, and the values of its rows."""

    f: Function
    point: Point
    tile: Tile
    columns: Buffer
    values: Buffer
    source: Buffer

    @property
    def sums(self) -> int:
        """Vectors of sums that a list has in a tile: [row][vector]."""
        return self.point.rows * len(self.tile.starts)

    def zeros(self) -> Registers:
        """The sums of all chains, zero."""
        acc = self.f.registers("acc", self.sums * self.point.chains, self.tile.lanes, "float32")
        acc.clear()
        return acc

    def add(self, acc: Registers, first: Expr, steps: Expr, origin: Expr) -> None:
        """Add `steps` columns for each chain, from number `first` on, then the chains together."""
        chains, sums = self.point.chains, self.sums
        with self.f.serial(steps, "step") as step:
            for chain in range(chains):
                self._column(acc, chain * sums, first + step * chains + chain, origin)
        for chain in range(1, chains):
            for register in range(sums):
                acc.store(register, acc.load(register) + acc.load(chain * sums + register))

    def _column(self, acc: Registers, first: int, entry: Expr, origin: Expr) -> None:
        lanes, starts = self.tile.lanes, self.tile.starts
        at = self.f.let(load(self.columns, (entry,)) + origin)
        weights = [splat(load(self.values, (entry, row)), lanes) for row in range(self.point.rows)]
        for vector, start in enumerate(starts):
            x = load_flat(self.source, at + start, lanes)
            for row, weight in enumerate(weights):
                number = first + row * len(starts) + vector
                acc.store(number, multiply_add(weight, x, acc.load(number)))
