"""The loop nest of an op: bounds and operand projections, read by counts, cost models, mappers."""

from dataclasses import dataclass
from math import prod

# One axis of an operand: sum of coefficient * loop, plus a constant: (("y", 2), ("r", 1)), -1.
Projection = tuple[tuple[tuple[str, int], ...], int]


@dataclass(frozen=True)
class Access:
    """How one operand is indexed by the loops. `operand` counts inputs, then outputs as -1."""

    operand: int
    axes: tuple[Projection, ...]

    @property
    def loops(self) -> frozenset[str]:
        """Names of the loops that move this operand."""
        return frozenset(name for terms, _ in self.axes for name, _ in terms)


@dataclass(frozen=True)
class LoopNest:
    """Named loop bounds and the accesses of the multiply-accumulate in the middle."""

    bounds: tuple[tuple[str, int], ...]
    accesses: tuple[Access, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding included."""
        return prod(bound for _, bound in self.bounds)

    def bound(self, name: str) -> int:
        """The bound of loop `name`."""
        return dict(self.bounds)[name]


def axis(*terms: tuple[str, int] | str, offset: int = 0) -> Projection:
    """Shorthand: axis("n"), axis(("y", 2), ("r", 1), offset=-1)."""
    return tuple((t, 1) if isinstance(t, str) else t for t in terms), offset
