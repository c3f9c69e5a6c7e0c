"""Writing elements at positions that are data. Negative positions count from the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, refuse, same_dtype
from codesign.ir.ops.gather import flat_positions, wrapped
from codesign.ir.ops.operands import check_axis, check_integer, given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

REDUCTIONS = {"none": "", "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@dataclass(frozen=True)
class ScatterElements(Op):
    """x with x[i, indices[i, j, ...], ...] = updates[i, j, ...], the position on `axis`.

    `reduction` (none, add, mul, max, min) combines with what was there.
    """

    kind: ClassVar[str] = "scatter_elements"
    roles: ClassVar[tuple[str, ...]] = ("x", "indices", "updates")

    axis: int = 0
    reduction: str = "none"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, indices, updates = (self.input(inputs, i) for i in range(3))
        pick(self, "reductions", self.reduction, tuple(REDUCTIONS))
        same_dtype(self, x, updates)
        check_integer(self, indices)
        check_axis(self, self.axis, x.rank, x)
        if indices.shape != updates.shape or indices.rank != x.rank:
            raise refuse(self, "needs indices and updates of one shape and x's rank", *inputs)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, updates = given(inputs, 0), given(inputs, 2)
        where = wrapped(given(inputs, 1), x.shape[self.axis])
        if self.reduction == "none":
            return x.scatter(self.axis, where, updates)
        return x.scatter_reduce(self.axis, where, updates, REDUCTIONS[self.reduction])


@dataclass(frozen=True)
class ScatterNd(Op):
    """x with the slices at the positions in the last axis of `indices` replaced by `updates`.

    x [*X], indices [*I, K], updates [*I, *X[K:]]; `reduction` as in scatter_elements.
    """

    kind: ClassVar[str] = "scatter_nd"
    roles: ClassVar[tuple[str, ...]] = ("x", "indices", "updates")

    reduction: str = "none"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, indices, updates = (self.input(inputs, i) for i in range(3))
        pick(self, "reductions", self.reduction, tuple(REDUCTIONS))
        same_dtype(self, x, updates)
        check_integer(self, indices)
        if not indices.rank or not 1 <= indices.shape[-1] <= x.rank:
            raise refuse(self, "needs indices of shape [..., K] with K axes of x", *inputs)
        if updates.shape != (*indices.shape[:-1], *x.shape[indices.shape[-1] :]):
            raise refuse(self, "needs one slice of x for each position", *inputs)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, indices, updates = given(inputs, 0), given(inputs, 1), given(inputs, 2)
        rest = x.shape[indices.shape[-1] :]
        where = flat_positions(tuple(x.shape), indices, 0).reshape(-1)
        rows, slices = x.reshape(-1, *rest), updates.reshape(-1, *rest)
        if self.reduction == "none":
            return rows.index_copy(0, where, slices).reshape(x.shape)
        spread = where.reshape(-1, *([1] * len(rest))).expand(slices.shape)
        done = rows.scatter_reduce(0, spread, slices, REDUCTIONS[self.reduction])
        return done.reshape(x.shape)
