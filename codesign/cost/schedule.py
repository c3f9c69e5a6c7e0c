"""How a layer is laid over a machine: which loops the array unrolls, what each memory holds when.

Memories that lie side by side (they hold different operands, there is one of each at the same
places, and none is `apart`) are one level and share a tiling. Level 0 is the outermost and holds
the whole layer.
"""

from dataclasses import dataclass

from codesign.machine.machine import Machine, Memory

Level = tuple[Memory, ...]


def levels_of(machine: Machine) -> tuple[Level, ...]:
    """The memories of `machine` by level, outermost first."""
    found: list[list[Memory]] = []
    for memory in machine.memories:
        last = found[-1] if found else []
        beside = all(set(memory.holds).isdisjoint(other.holds) for other in last)
        if last and beside and last[0].along == memory.along and not memory.apart:
            last.append(memory)
        else:
            found.append([memory])
    return tuple(tuple(level) for level in found)


@dataclass(frozen=True)
class Schedule:
    """`unrolled[axis]`: (loop, factor) pairs; `held[k]`: extents of an instance's tile at level k.

    `held` begins at level 1. `orders[k]` are the loops, outermost first, that go over the tiles of
    level k+1 within one of level k; the last go over single multiplications. Loops that are not
    named have extent 1 in a tile and no place in an order that would matter.
    """

    unrolled: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    held: tuple[tuple[tuple[str, int], ...], ...]
    orders: tuple[tuple[str, ...], ...]
