"""Ops that rank or accumulate along one axis."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.dtype import DType
from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import check_axis, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ArgMax(Op):
    """Position (i64) of the largest element along `axis`, the first or, with `last`, last one."""

    kind: ClassVar[str] = "argmax"

    axis: int = 0
    keepdims: bool = True
    last: bool = False

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axis(self, self.axis, x.rank, x)
        middle = (1,) if self.keepdims else ()
        return (TensorType((*x.shape[: self.axis], *middle, *x.shape[self.axis + 1 :]), DType.I64),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return self._position(given(inputs, 0))

    def _position(self, x: "Tensor") -> "Tensor":
        if not self.last:
            return x.argmax(self.axis, keepdim=self.keepdims)
        return x.shape[self.axis] - 1 - x.flip(self.axis).argmax(self.axis, keepdim=self.keepdims)


@dataclass(frozen=True)
class ArgMin(ArgMax):
    """Position (i64) of the smallest element along `axis`, the first or, with `last`, last one."""

    kind: ClassVar[str] = "argmin"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        return self._position(-x if x.is_floating_point() else -x.long())


@dataclass(frozen=True)
class CumSum(Op):
    """Running sums along `axis`.

    `exclusive` leaves the element itself out, `reverse` starts at the end.
    """

    kind: ClassVar[str] = "cumsum"

    axis: int = 0
    exclusive: bool = False
    reverse: bool = False

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axis(self, self.axis, x.rank, x)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        turned = x.flip(self.axis) if self.reverse else x
        total = turned.cumsum(self.axis).to(x.dtype)
        total = total - turned if self.exclusive else total
        return total.flip(self.axis) if self.reverse else total


@dataclass(frozen=True)
class TopK(Op):
    """The `k` largest (or smallest) elements along `axis`, in order, and their positions (i64).

    Of equal elements the one with the lower position comes first.
    """

    kind: ClassVar[str] = "top_k"

    k: int = 1
    axis: int = 0
    largest: bool = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axis(self, self.axis, x.rank, x)
        if not 0 <= self.k <= x.shape[self.axis]:
            raise refuse(self, f"needs at least {self.k} elements along axis {self.axis}", x)
        shape = (*x.shape[: self.axis], self.k, *x.shape[self.axis + 1 :])
        return TensorType(shape, x.dtype), TensorType(shape, DType.I64)

    def evaluate(self, *inputs: "Tensor | None") -> "tuple[Tensor, ...]":
        import torch

        x = given(inputs, 0)
        values, where = torch.sort(x, dim=self.axis, descending=self.largest, stable=True)
        return values.narrow(self.axis, 0, self.k), where.narrow(self.axis, 0, self.k)
