"""A layer as a cost model sees it: loops by role, and how they move along each operand's axes.

Whatever the op, loops get the names that machines use (those of a convolution): a loop that all
operands follow is a group `g`; one that the weight does not follow is batch or space, `n y x z`;
one that the input does not follow is an output channel, `m`; and a reduction is `c r s t`. Further
loops of a role are numbered: `g1`, `m1`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, count
from math import prod

from codesign.errors import UnsupportedModelError
from codesign.ir.loops import Access, LoopNest, Projection
from codesign.ir.types import TensorType
from codesign.machine.machine import LOOPS, OPERANDS, Operand

Types = Sequence[TensorType | None]


@dataclass(frozen=True)
class Follow:
    """One axis of an operand: index = sum of coefficient * loop + offset, inside [0, extent).

    What lies outside is padding, which no memory holds.
    """

    terms: tuple[tuple[str, int], ...]
    offset: int
    extent: int


@dataclass(frozen=True)
class Problem:
    """Loops with a bound over 1 and the axes of each operand that they move along."""

    bounds: tuple[tuple[str, int], ...]
    input: tuple[Follow, ...]
    weight: tuple[Follow, ...]
    output: tuple[Follow, ...]

    def axes(self, operand: Operand) -> tuple[Follow, ...]:
        """The axes of `operand`."""
        found: tuple[Follow, ...] = getattr(self, operand)
        return found

    def bound(self, loop: str) -> int:
        """The bound of `loop`, 1 if the layer has no such loop."""
        return self._bound.get(loop, 1)

    @cached_property
    def _bound(self) -> Mapping[str, int]:
        return dict(self.bounds)

    @cached_property
    def _moving(self) -> Mapping[Operand, frozenset[str]]:
        """The loops that move each operand."""
        return {o: frozenset(x for a in self.axes(o) for x, _ in a.terms) for o in OPERANDS}

    def moves(self, operand: Operand, loop: str) -> bool:
        """Whether another iteration of `loop` is about another part of `operand`."""
        return loop in self._moving[operand]

    def elements(self, operand: Operand) -> int:
        """Elements of the whole of `operand`."""
        return prod(axis.extent for axis in self.axes(operand))

    def padded(self) -> "Problem":
        """This problem with what lies around its tensors as part of them."""
        return replace(
            self,
            input=tuple(self._padded(axis) for axis in self.input),
            weight=tuple(self._padded(axis) for axis in self.weight),
        )

    def _padded(self, axis: Follow) -> Follow:
        reach = sum(step * (self.bound(loop) - 1) for loop, step in axis.terms)
        before = max(0, -axis.offset)
        extent = max(axis.extent, axis.offset + reach + 1) + before
        return Follow(axis.terms, axis.offset + before, extent)

    def unfolded(self) -> "Problem":
        """The product of matrices that this is once the windows of its input are laid out.

        Input channels and the kernel's loops become one loop, `c`; batch and space another, `n`.
        """
        merged = {"c": "crst", "n": "nyxz"}
        depth = {
            name: prod(bound for loop, bound in self.bounds if loop[0] in roles)
            for name, roles in merged.items()
        }
        rest = {loop: bound for loop, bound in self.bounds if loop[0] in "gm"}
        bounds = {**rest, **{name: bound for name, bound in depth.items() if bound > 1}}
        order = sorted(bounds, key=lambda loop: (LOOPS.index(loop[0]), loop))

        def axes(operand: Operand) -> tuple[Follow, ...]:
            left_out = {"input": "m", "weight": "n", "output": "c"}[operand]
            found = (loop for loop in order if loop[0] != left_out)
            return tuple(Follow(((loop, 1),), 0, bounds[loop]) for loop in found)

        listed = tuple((loop, bounds[loop]) for loop in order)
        return Problem(listed, axes("input"), axes("weight"), axes("output"))

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with padding included."""
        return prod(bound for _, bound in self.bounds)


def problem_of(nest: LoopNest, inputs: Types, outputs: Types) -> Problem:
    """The problem of a nest of two operands and a result, whose types are given.

    UnsupportedModelError if the nest is of another kind, or has nothing to do.
    """
    if len(nest.accesses) != 3:
        raise UnsupportedModelError(
            f"a loop nest over {len(nest.accesses)} operands has no cost model; it takes two "
            "operands and a result"
        )
    empty = [loop for loop, bound in nest.bounds if bound < 1]
    if empty:
        raise UnsupportedModelError(
            f"loop {empty[0]} has no iterations, so there is nothing to map; expected at least one "
            "element along each axis of what is multiplied"
        )
    types = [(outputs[0] if a.operand < 0 else inputs[a.operand]) for a in nest.accesses]
    names = _names(nest)
    follows = [
        _follows(access, names, kind) for access, kind in zip(nest.accesses, types, strict=True)
    ]
    bounds = {names[loop]: bound for loop, bound in nest.bounds if loop in names}
    order = sorted(bounds, key=lambda name: (LOOPS.index(name[0]), name))
    return Problem(tuple((loop, bounds[loop]) for loop in order), *follows)


def _names(nest: LoopNest) -> Mapping[str, str]:
    """The machines' name of each loop that loops; those whose names fit their role keep them."""
    left, right, result = (access.loops for access in nest.accesses)
    found: dict[str, str] = {}
    waiting: list[tuple[str, str]] = []
    for loop, bound in nest.bounds:
        role = _role(loop in left, loop in right, loop in result)
        if bound > 1 and loop in role:
            found[loop] = loop
        elif bound > 1:
            waiting.append((loop, role))
    for loop, role in waiting:
        more = (f"{role[0]}{number}" for number in count(1))
        found[loop] = next(name for name in chain(role, more) if name not in found.values())
    return found


def _role(left: bool, right: bool, result: bool) -> str:
    """The names that a loop which moves these operands may have."""
    if not result:
        return "crst"
    if left and right:
        return "g"
    return "m" if right else "nyxz"


def _follows(
    access: Access, names: Mapping[str, str], kind: TensorType | None
) -> tuple[Follow, ...]:
    if kind is None or len(kind.shape) != len(access.axes):
        raise UnsupportedModelError("an operand of the loop nest is missing or of another rank")
    return tuple(
        _follow(axis, names, extent) for axis, extent in zip(access.axes, kind.shape, strict=True)
    )


def _follow(axis: Projection, names: Mapping[str, str], extent: int) -> Follow:
    terms, offset = axis
    return Follow(tuple((names[n], c) for n, c in terms if n in names), offset, extent)


__all__ = ["OPERANDS", "Follow", "Operand", "Problem", "problem_of"]
