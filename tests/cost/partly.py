"""Machines with memories along some of the axes, and schedules on them."""

from dataclasses import replace

from hypothesis import strategies as st

from codesign.cost.schedule import Schedule
from codesign.machine.machine import OPERANDS, Axis, Machine, Memory
from tests.cost.test_traffic import convolutions
from tests.cost.walk import Mapped

AXES = ("p", "q")


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Up to three memories inside the first, each along what the one before is along and more."""
    axes = tuple(
        Axis(
            name,
            draw(st.integers(1, 4)),
            tuple(draw(st.permutations("ngmcyxrs"))[:4]),
            draw(st.booleans()),
        )
        for name in AXES
    )
    memories, along = [Memory("outer", OPERANDS, begins=draw(st.booleans()))], tuple[str, ...]()
    for number in range(draw(st.integers(1, 3))):
        along = tuple(x for x in draw(st.permutations(AXES)) if x in along or draw(st.booleans()))
        holds = tuple(o for o in OPERANDS if draw(st.booleans())) or ("weight",)
        reload, sliding, apart = (draw(st.booleans()) for _ in range(3))
        memory = Memory(f"m{number}", holds, along=along, reload=reload, apart=apart)
        memories.append(replace(memory, sliding=sliding))
    return Machine("partly", 1e6, tuple(memories), axes)


@st.composite
def partly(draw: st.DrawFn) -> Mapped:
    """A schedule whose tiles divide those of the level above, all else at random."""
    bare = Mapped(draw(convolutions()), draw(machines()), Schedule((), (), ()))
    loops, spread = bare.loops, dict[tuple[str, str], int]()
    for axis in bare.machine.axes:
        left = axis.size
        for loop in (x for x in loops if x[0] in axis.unroll):
            count = draw(st.integers(1, min(left, bare.problem.bound(loop))))
            spread[axis.name, loop], left = count, left // count
    own, held = dict.fromkeys(loops, 1), list[tuple[tuple[str, int], ...]]()
    for level in reversed(range(1, len(bare.levels))):
        between = [a for a in bare.along(level + 1) if a not in bare.along(level)]
        for loop in loops:
            for axis_name in between:
                own[loop] *= spread.get((axis_name, loop), 1)
            beside = own[loop]
            for axis_name in bare.along(level):
                beside *= spread.get((axis_name, loop), 1)
            own[loop] *= draw(st.integers(1, max(1, -(-bare.problem.bound(loop) // beside))))
        held.insert(0, tuple(own.items()))
    orders = tuple(tuple(draw(st.permutations(loops))) for _ in bare.levels)
    unrolled = tuple(
        (axis, tuple((x, n) for (a, x), n in spread.items() if a == axis)) for axis in AXES
    )
    return Mapped(bare.problem, bare.machine, Schedule(unrolled, tuple(held), orders))
