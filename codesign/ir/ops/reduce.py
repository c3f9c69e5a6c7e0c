"""Reductions over axes."""

from abc import abstractmethod
from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op
from codesign.ir.ops.operands import check_axes, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reduce(Op):
    """Base: reduce over `axes` (ascending), which stay as extents of 1 with `keepdims`.

    No axes reduce nothing: each element is reduced by itself. Integers keep their type. Subclasses
    give `apply`, which reduces the last axis.
    """

    axes: tuple[int, ...] = ()
    keepdims: bool = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axes(self, self.axes, x.rank, x)
        kept = (1 if i in self.axes else extent for i, extent in enumerate(x.shape))
        left = (extent for i, extent in enumerate(x.shape) if i not in self.axes)
        return (TensorType(tuple(kept if self.keepdims else left), x.dtype),)

    @abstractmethod
    def apply(self, x: "Tensor") -> "Tensor":
        """Reduce the last axis of `x` away."""

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        others = [i for i in range(x.dim()) if i not in self.axes]
        left = [x.shape[i] for i in others]
        extent = prod(x.shape[i] for i in self.axes)
        y = self.apply(x.permute((*others, *self.axes)).reshape(*left, extent)).to(x.dtype)
        if not self.keepdims:
            return y
        return y.reshape([1 if i in self.axes else size for i, size in enumerate(x.shape)])


@dataclass(frozen=True)
class ReduceSum(Reduce):
    """The sum."""

    kind: ClassVar[str] = "reduce_sum"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.sum(-1)


@dataclass(frozen=True)
class ReduceMean(Reduce):
    """The mean; integers truncate towards zero."""

    kind: ClassVar[str] = "reduce_mean"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.mean(-1) if x.is_floating_point() else x.double().mean(-1).trunc()


@dataclass(frozen=True)
class ReduceMax(Reduce):
    """The largest; of nothing -inf (floats)."""

    kind: ClassVar[str] = "reduce_max"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.amax(-1) if x.shape[-1] else x.new_full(x.shape[:-1], -inf)


@dataclass(frozen=True)
class ReduceMin(Reduce):
    """The smallest; of nothing inf (floats)."""

    kind: ClassVar[str] = "reduce_min"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.amin(-1) if x.shape[-1] else x.new_full(x.shape[:-1], inf)


@dataclass(frozen=True)
class ReduceProd(Reduce):
    """The product."""

    kind: ClassVar[str] = "reduce_prod"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.prod(-1)


@dataclass(frozen=True)
class ReduceL1(Reduce):
    """The sum of magnitudes."""

    kind: ClassVar[str] = "reduce_l1"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.abs().sum(-1)


@dataclass(frozen=True)
class ReduceL2(Reduce):
    """The square root of the sum of squares."""

    kind: ClassVar[str] = "reduce_l2"

    def apply(self, x: "Tensor") -> "Tensor":
        total = x.square().sum(-1)
        return total.sqrt() if x.is_floating_point() else total.double().sqrt()


@dataclass(frozen=True)
class ReduceLogSum(Reduce):
    """The logarithm of the sum."""

    kind: ClassVar[str] = "reduce_log_sum"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.sum(-1).log()


@dataclass(frozen=True)
class ReduceLogSumExp(Reduce):
    """The logarithm of the sum of exponentials."""

    kind: ClassVar[str] = "reduce_log_sum_exp"

    def apply(self, x: "Tensor") -> "Tensor":
        return (x if x.is_floating_point() else x.double()).logsumexp(-1)


@dataclass(frozen=True)
class ReduceSumSquare(Reduce):
    """The sum of squares."""

    kind: ClassVar[str] = "reduce_sum_square"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.square().sum(-1)
