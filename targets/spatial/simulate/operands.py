"""The tensors of a layer as codes: what a run is given, laid out as a machine's memory has it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.operands import Widths
from codesign.cost.problem import Follow, Problem
from codesign.errors import DataError

Codes = NDArray[Any]
Sums = NDArray[np.int64]


@dataclass(frozen=True)
class Operands:
    """Integer codes of `input` and `weight`, in the shapes of the layer's tensors.

    `zero` is the input's zero point: elements multiply codes less it, what lies around the tensor
    has its code, and compression and gating take it for zero. `start` are sums that outputs begin
    at, such as codes of a bias, in the output's shape.
    """

    input: Codes
    weight: Codes
    zero: int = 0
    start: Sums | None = None

    def padded(self, problem: Problem) -> "Operands":
        """These with the zeros around the input of `problem` as part of it."""
        shape = tuple(axis.extent for axis in problem.input)
        if self.input.shape != shape or not shape:
            return self
        pads = [_around(problem, axis) for axis in problem.input]
        return replace(self, input=np.pad(self.input, pads, constant_values=self.zero))

    def begin(self, problem: Problem) -> Sums:
        """The sums that outputs begin at, a copy; zeros if none are given."""
        shape = tuple(axis.extent for axis in problem.output)
        if self.start is None:
            return np.zeros(shape, np.int64)
        return np.array(np.broadcast_to(self.start, shape), np.int64)


def _around(problem: Problem, axis: Follow) -> tuple[int, int]:
    (wide,) = Problem(problem.bounds, (axis,), (), ()).padded().input
    before = max(0, -axis.offset)
    return before, wide.extent - axis.extent - before


def checked(operands: Operands, problem: Problem, widths: Widths) -> None:
    """DataError unless the operands are integers of the shapes and widths that a layer has."""
    pairs = (("input", operands.input, widths.input), ("weight", operands.weight, widths.weight))
    for (name, codes, width), axes in zip(pairs, (problem.input, problem.weight), strict=True):
        shape = tuple(axis.extent for axis in axes)
        if codes.shape != shape or codes.dtype.kind not in "iu":
            raise DataError(
                f"{name} is {codes.dtype}{list(codes.shape)}, but the layer takes integer codes "
                f"of shape {list(shape)}"
            )
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        bottom = -(1 << (width - 1)) if low < 0 else 0
        if low < bottom or high >= bottom + (1 << width):
            raise DataError(
                f"codes of {name} go from {low} to {high}, which {width} bits do not hold"
            )


def unfolded(problem: Problem, operands: Operands) -> Operands:
    """The operands of `problem.unfolded()`: windows of the input laid out, kernels as rows."""
    flat = problem.unfolded()
    sides = []
    for axes, codes, zero, wide in (
        (problem.input, operands.input, operands.zero, flat.input),
        (problem.weight, operands.weight, 0, flat.weight),
    ):
        left_out = "m" if axes is problem.input else "nyxz"
        loops = [x for x in _ordered(problem) if x[0] not in left_out]
        found = _met(problem, axes, codes, zero, loops)
        sides.append(found.reshape([axis.extent for axis in wide]))
    start = None if operands.start is None else _outputs(problem, operands.begin(problem))
    return Operands(sides[0], sides[1], operands.zero, start)


def refolded(problem: Problem, sums: Sums) -> Sums:
    """Sums of `problem.unfolded()` in the shape of the problem's own output."""
    found = np.zeros([axis.extent for axis in problem.output], np.int64)
    loops = [x for x in _ordered(problem) if x[0] not in "crst"]
    values = sums.reshape([problem.bound(x) for x in loops])
    picks = (_index(problem, axis, loops) for axis in problem.output)
    found[tuple(np.broadcast_to(pick, values.shape) for pick in picks)] = values
    return found


def _outputs(problem: Problem, sums: Sums) -> Sums:
    loops = [x for x in _ordered(problem) if x[0] not in "crst"]
    found = _met(problem, problem.output, sums, 0, loops)
    return found.reshape([axis.extent for axis in problem.unfolded().output])


def _ordered(problem: Problem) -> list[str]:
    """The loops as unfolding lines them up: batch and space, groups and channels, reductions."""
    roles = ("nyxz", "g", "m", "crst")
    return [x for some in roles for x, _ in problem.bounds if x[0] in some]


def _index(problem: Problem, axis: Follow, loops: list[str]) -> Sums:
    """The index that each iteration of `loops` meets along an axis, to be broadcast."""
    at = np.full([1] * len(loops), axis.offset, np.int64)
    for loop, step in axis.terms:
        shape = [-1 if x == loop else 1 for x in loops]
        at = at + (step * np.arange(problem.bound(loop))).reshape(shape)
    return at


def _met(
    problem: Problem, axes: tuple[Follow, ...], codes: Codes, zero: int, loops: list[str]
) -> Codes:
    """The code that each iteration of `loops` meets, `zero` outside the tensor."""
    picks, inside = [], np.ones((), np.bool_)
    for axis in axes:
        at = _index(problem, axis, loops)
        inside = inside & (at >= 0) & (at < axis.extent)
        picks.append(np.clip(at, 0, axis.extent - 1))
    full = tuple(problem.bound(x) for x in loops)
    return np.where(np.broadcast_to(inside, full), np.broadcast_to(codes[tuple(picks)], full), zero)
