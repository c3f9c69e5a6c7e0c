"""Why a layer cannot be mapped: what is demanded, what bounds it, by how much, what would help."""

from collections.abc import Iterator, Mapping
from itertools import chain
from math import prod

import numpy as np

from codesign.cost.candidates import Candidates
from codesign.errors import RefusedError
from codesign.machine.machine import Memory
from codesign.mapping.refusal import Refusal
from codesign.mapping.space import Space
from codesign.mapping.tiles import Cuts, Cutter, may


class NoMappingError(RefusedError):
    """No mapping fits; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def no_mapping(space: Space) -> NoMappingError:
    """What to raise where nothing in `space` fits."""
    cutter = Cutter(space.machine, space.levels, space.room, space.thin)
    cuts = {loop: cutter.cuts(loop, bound) for loop, bound in space.problem.bounds}
    uncut = [loop for loop, found in cuts.items() if not len(found.factors)]
    if uncut:
        return NoMappingError(_loop(space, uncut[0]))
    found = chain(_memories(space, cuts), _axes(space, cuts), [_together(space)])
    return NoMappingError(next(found))


def _loop(space: Space, loop: str) -> Refusal:
    """Where one loop alone cannot be cut so that all of it is done."""
    machine, bound = space.machine, space.problem.bound(loop)
    axes = [axis for axis in machine.axes if loop[0] in axis.unroll]
    reach = min(bound, prod(space.room[axis.name] for axis in axes))
    over = [m.name for level in space.levels for m in level if may(level, loop)]
    rest = f"only {', '.join(over)}" if over else "no memory"
    names = " and ".join(axis.name for axis in axes)
    spread = f"axis {names} of {machine.name} takes {reach} of them" if axes else "no axis takes it"
    more = f"make axis {names} longer, or name" if axes else "name"
    return Refusal(
        f"loop {loop} has {bound} iterations",
        f"{spread}, and {rest} may go over the rest",
        f'{more} "{loop[0]}" in the loops of a memory',
        f"{bound - reach} too many at a time",
    )


def _memories(space: Space, cuts: Mapping[str, Cuts]) -> Iterator[Refusal]:
    """Memories that do not hold the smallest tiles that the cuts of each loop allow."""
    held = [
        {loop: np.array([one.held[:, level].min()]) for loop, one in cuts.items()}
        for level in range(len(space.levels) - 1)
    ]
    orders: list[tuple[str, ...]] = [()] * len(space.levels)
    least = Candidates(space.problem, space.machine, 1, {}, held, orders)
    for level, memories in enumerate(space.levels):
        for memory in memories if level else ():
            sizes = (least.largest(o, least.own[level]) * space.bits[o] for o in memory.holds)
            demand = int(sum(sizes, start=0 * least.ones)[0])
            if demand > memory.usable:
                loops = {x: int(n[0]) for x, n in least.own[level].items() if n[0] > 1}
                yield _memory(space, memory, demand, loops)


def _memory(space: Space, memory: Memory, demand: int, loops: Mapping[str, int]) -> Refusal:
    tile = " x ".join(f"{loop} {extent}" for loop, extent in loops.items())
    half = ", half of its capacity" if memory.double else ""
    cut = f", or let a memory outside of it go over {', '.join(loops)}" if loops else ""
    return Refusal(
        f"the smallest tile of {' and '.join(memory.holds)} ({tile or 'an element each'}) takes "
        f"{demand} b",
        f"memory {memory.name} of {space.machine.name} has {memory.usable:g} b for it{half}",
        f"enlarge {memory.name}.capacity, assign fewer bits{cut}",
        f"{demand - memory.usable:g} b too few",
    )


def _axes(space: Space, cuts: Mapping[str, Cuts]) -> Iterator[Refusal]:
    """Axes along which loops must be spread further than it has elements."""
    for number, axis in enumerate(space.machine.axes):
        spread = {loop: int(one.factors[:, number].min()) for loop, one in cuts.items()}
        need, room = prod(spread.values()), space.room[axis.name]
        if need > room:
            loops = ", ".join(f"{loop} {count}" for loop, count in spread.items() if count > 1)
            yield Refusal(
                f"axis {axis.name} has to take {loops} at once",
                f"it has {room} elements on {space.machine.name}",
                'make it longer, or name one of these in the "loops" of a memory',
                f"{need - room} too few",
            )


def _together(space: Space) -> Refusal:
    limited = [m for level in space.levels[1:] for m in level]
    names = ", ".join(f"{m.name} ({m.usable:g} b)" for m in limited)
    shape = ", ".join(f"{loop} {bound}" for loop, bound in space.problem.bounds)
    return Refusal(
        f"the loops are {shape}",
        f"no cuts of them fit the memories {names} of machine {space.machine.name} together",
        "enlarge one of these, or assign fewer bits",
    )
