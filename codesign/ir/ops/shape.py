"""Ops that change the shape and keep every element."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import check_axes, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reshaping(Op):
    """Base: the elements in their row-major order under another shape."""

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        (result,) = self.infer(TensorType(tuple(x.shape)))
        return x.reshape(result.shape)


@dataclass(frozen=True)
class Reshape(Reshaping):
    """x under `shape`, which has as many elements."""

    kind: ClassVar[str] = "reshape"

    shape: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if prod(self.shape) != x.size or any(extent < 0 for extent in self.shape):
            raise refuse(self, f"to {self.shape} needs as many elements", x)
        return (TensorType(self.shape, x.dtype),)


@dataclass(frozen=True)
class Flatten(Reshaping):
    """[prod(shape[:axis]), prod(shape[axis:])]."""

    kind: ClassVar[str] = "flatten"

    axis: int = 1

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if not 0 <= self.axis <= x.rank:
            raise refuse(self, f"needs an axis in 0..{x.rank}, not {self.axis}", x)
        return (TensorType((prod(x.shape[: self.axis]), prod(x.shape[self.axis :])), x.dtype),)


@dataclass(frozen=True)
class Squeeze(Reshaping):
    """x without `axes`, which have extent 1."""

    kind: ClassVar[str] = "squeeze"

    axes: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axes(self, self.axes, x.rank, x)
        if any(x.shape[axis] != 1 for axis in self.axes):
            raise refuse(self, f"needs extents of 1 at axes {self.axes}", x)
        left = (extent for i, extent in enumerate(x.shape) if i not in self.axes)
        return (TensorType(tuple(left), x.dtype),)


@dataclass(frozen=True)
class ExpandDims(Reshaping):
    """x with new axes of extent 1, which are `axes` of the result."""

    kind: ClassVar[str] = "expand_dims"

    axes: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        rank = x.rank + len(self.axes)
        check_axes(self, self.axes, rank, x)
        rest = iter(x.shape)
        return (
            TensorType(tuple(1 if i in self.axes else next(rest) for i in range(rank)), x.dtype),
        )


@dataclass(frozen=True)
class Transpose(Op):
    """Axis i of the result is axis `perm[i]` of x."""

    kind: ClassVar[str] = "transpose"

    perm: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if sorted(self.perm) != list(range(x.rank)):
            raise refuse(self, f"needs a permutation of {x.rank} axes, not {self.perm}", x)
        return (TensorType(tuple(x.shape[axis] for axis in self.perm), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0).permute(self.perm)


@dataclass(frozen=True)
class Expand(Op):
    """x broadcast to `shape`."""

    kind: ClassVar[str] = "expand"

    shape: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        try:
            fits = tuple(np.broadcast_shapes(x.shape, self.shape)) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise refuse(self, f"cannot broadcast to {self.shape}", x)
        return (TensorType(self.shape, x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0).expand(self.shape)
