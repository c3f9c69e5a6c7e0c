"""Orders of loops that differ in what they move.

A loop leaves at most one operand where it is: batch and space the weights, output channels the
input, reductions the output. So what counts of an order is which of the three goes innermost, and
which loop is the innermost of the others where windows slide.
"""

from collections.abc import Sequence

from codesign.cost.problem import Problem
from codesign.machine.machine import OPERANDS, Operand

SLIDING = ("x", "y", "z")


def orders(
    problem: Problem, loops: Sequence[str], stays: Operand | None = None
) -> tuple[tuple[str, ...], ...]:
    """One order, outermost loop first, for each operand that some of `loops` leave in place.

    Only that for the operand `stays`, if one is given.
    """
    found: dict[tuple[str, ...], None] = {}
    for operand in OPERANDS if stays is None else (stays,):
        still = [loop for loop in loops if not problem.moves(operand, loop)]
        others = [loop for loop in loops if loop not in still]
        if still or not found:
            found[(*_slide(others), *_slide(still))] = None
    return tuple(found)


def _slide(loops: Sequence[str]) -> list[str]:
    """`loops` with that along which windows slide the innermost, the widest axis first."""
    first = next((role for role in SLIDING if any(x[0] == role for x in loops)), None)
    return sorted(loops, key=lambda loop: loop[0] == first)
