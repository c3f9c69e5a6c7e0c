"""A machine that costs less than the one it stands for, whatever its inner memories do."""

from dataclasses import replace
from math import inf

from codesign.cost.schedule import levels_of
from codesign.machine.machine import OPERANDS, Machine, Memory, Timing


def relaxed(machine: Machine) -> Machine:
    """`machine` down to the memories below the outermost, which exchange with it as they must.

    Operands that these do not hold have room there too, and slide there if they may further in.
    Whatever lies further in takes no time and no energy, but one access a multiplication for what
    each element holds of its own.
    """
    levels = levels_of(machine)
    if len(levels) < 3:
        return machine
    outer, inner = levels[0], levels[1]
    bare = tuple(replace(m, name=f"~{m.name}", flow={}, read=0.0, write=0.0) for m in inner)
    missing = tuple(o for o in OPERANDS if not any(o in memory.holds for memory in inner))
    slide = any(m.sliding and not set(missing).isdisjoint(m.holds) for m in machine.memories)
    more = (Memory("~", missing, inf, along=inner[0].along, sliding=slide),) if missing else ()
    return replace(machine, memories=(*outer, *bare, *more), timing=Timing())
