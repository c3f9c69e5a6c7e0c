"""Placing values in one arena so that values alive at the same time do not overlap.

Greedy by size, largest first, each at the lowest offset that is free during its life (Pisarchyk and
Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes that is in use from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: "Life") -> bool:
        """True if both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


def arrange(lives: Sequence[Life]) -> tuple[dict[str, int], int]:
    """Byte offsets by name (multiples of 64), and the size of the arena."""
    placed: list[tuple[int, int, Life]] = []
    for life in sorted(lives, key=lambda x: (-x.size, x.first, x.name)):
        offset = 0
        busy = sorted((o, end) for o, end, other in placed if life.meets(other))
        for start, end in busy:
            if offset + life.size <= start:
                break
            offset = max(offset, end)
        end = offset + -(-life.size // ALIGNMENT) * ALIGNMENT
        placed.append((offset, end, life))
    offsets = {life.name: offset for offset, _, life in placed}
    return offsets, max((end for _, end, _ in placed), default=0)
