"""How a layer is laid over a machine: which loops the array unrolls, what each memory holds when.

Memories that lie side by side (they hold different operands, there is one of each at the same
places, and none is `apart`) are one level and share a tiling. Level 0 is the outermost and holds
the whole layer.
"""

from dataclasses import dataclass, replace

from codesign.machine.machine import Machine, Memory

Level = tuple[Memory, ...]


def places(machine: Machine) -> tuple[str, ...]:
    """The axes that elements lie along: those that never have more than one are left out.

    Of an array of one element the first axis stands for all.
    """
    found = tuple(axis.name for axis in machine.axes if axis.size > 1 or axis.fused)
    return found or tuple(axis.name for axis in machine.axes[:1])


def _along(machine: Machine, memory: Memory) -> tuple[str, ...]:
    """`memory.along`, of `places` and in their order however the machine names it."""
    alone = all(axis.size == 1 and not axis.fused for axis in machine.axes)
    if alone and memory.along:
        return places(machine)
    return tuple(axis for axis in places(machine) if axis in memory.along)


def levels_of(machine: Machine) -> tuple[Level, ...]:
    """The memories of `machine` by level, outermost first; each `along` some of its `places`."""
    found: list[list[Memory]] = []
    for given in machine.memories:
        memory = replace(given, along=_along(machine, given))
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
