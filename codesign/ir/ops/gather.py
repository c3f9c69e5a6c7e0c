"""Reading elements at positions that are data. Negative positions count from the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.dtype import DType
from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import carrier, check_axis, check_integer, given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


def wrapped(indices: "Tensor", extent: int) -> "Tensor":
    """int64 positions with negative ones counted from the end of an axis of `extent`.

    DataError if one is out of range.
    """
    import torch

    from codesign.errors import DataError

    indices = indices.long()
    if indices.numel() and not bool(((indices >= -extent) & (indices < extent)).all()):
        low, high = int(indices.min()), int(indices.max())
        raise DataError(f"positions {low}..{high} are given for an axis of {extent} elements")
    return torch.where(indices < 0, indices + extent, indices)


@dataclass(frozen=True)
class Gather(Op):
    """Slices of x along `axis` at `indices`, whose axes take the place of `axis`."""

    kind: ClassVar[str] = "gather"
    roles: ClassVar[tuple[str, ...]] = ("x", "indices")

    axis: int = 0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, indices = self.input(inputs, 0), self.input(inputs, 1)
        check_axis(self, self.axis, x.rank, x)
        check_integer(self, indices)
        shape = (*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :])
        return (TensorType(shape, x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, indices = given(inputs, 0), given(inputs, 1)
        where = wrapped(indices, x.shape[self.axis]).reshape(-1)
        shape = (*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :])
        return x.index_select(self.axis, where).reshape(shape)


@dataclass(frozen=True)
class Embedding(Op):
    """Rows of weight [V, ...] at `indices`: [*indices.shape, ...]."""

    kind: ClassVar[str] = "embedding"
    roles: ClassVar[tuple[str, ...]] = ("indices", "weight")

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        indices, weight = self.input(inputs, 0), self.input(inputs, 1)
        check_integer(self, indices)
        check_axis(self, 0, weight.rank, weight)
        return (TensorType((*indices.shape, *weight.shape[1:]), weight.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return Gather(0).evaluate(given(inputs, 1), given(inputs, 0))


@dataclass(frozen=True)
class GatherElements(Op):
    """y[i, j, ...] = x[i, indices[i, j, ...], ...] with the position on `axis`."""

    kind: ClassVar[str] = "gather_elements"
    roles: ClassVar[tuple[str, ...]] = ("x", "indices")

    axis: int = 0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, indices = self.input(inputs, 0), self.input(inputs, 1)
        check_axis(self, self.axis, x.rank, x)
        check_integer(self, indices)
        pairs = enumerate(zip(x.shape, indices.shape, strict=False))
        if x.rank != indices.rank or any(j > i and n != self.axis for n, (i, j) in pairs):
            raise refuse(self, "needs indices of x's rank and within its extents", x, indices)
        return (TensorType(indices.shape, x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        return x.gather(self.axis, wrapped(given(inputs, 1), x.shape[self.axis]))


def flat_positions(shape: tuple[int, ...], indices: "Tensor", batch: int) -> "Tensor":
    """Row number in x flattened over its batch and indexed axes, for `indices` [*batch, ..., K]."""
    import torch

    count = indices.shape[-1]
    where = torch.zeros(indices.shape[:-1], dtype=torch.int64)
    for i in range(batch):
        steps = torch.arange(shape[i]).reshape(-1, *([1] * (indices.dim() - 2 - i)))
        where = where * shape[i] + steps
    for i in range(count):
        where = where * shape[batch + i] + wrapped(indices[..., i], shape[batch + i])
    return where


@dataclass(frozen=True)
class GatherNd(Op):
    """x at the positions in the last axis of `indices`; the first `batch` axes are shared.

    x [*B, *X], indices [*B, *I, K] -> [*B, *I, *X[K:]].
    """

    kind: ClassVar[str] = "gather_nd"
    roles: ClassVar[tuple[str, ...]] = ("x", "indices")

    batch: int = 0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, indices = self.input(inputs, 0), self.input(inputs, 1)
        check_integer(self, indices)
        b = self.batch
        fits = 0 <= b < min(x.rank, indices.rank) and x.shape[:b] == indices.shape[:b]
        if not fits or not 1 <= indices.shape[-1] <= x.rank - b:
            raise refuse(self, f"with batch={b} cannot match its operands", x, indices)
        shape = (*indices.shape[:-1], *x.shape[b + indices.shape[-1] :])
        return (TensorType(shape, x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, indices = given(inputs, 0), given(inputs, 1)
        where = flat_positions(tuple(x.shape), indices, self.batch)
        rest = x.shape[self.batch + indices.shape[-1] :]
        rows = x.reshape(-1, *rest).index_select(0, where.reshape(-1))
        return rows.reshape(*indices.shape[:-1], *rest)


@dataclass(frozen=True)
class OneHot(Op):
    """`on` at each index along a new axis of extent `depth`, else `off`.

    An index out of range gives `off` everywhere.
    """

    kind: ClassVar[str] = "one_hot"
    roles: ClassVar[tuple[str, ...]] = ("indices",)

    depth: int = 1
    axis: int = 0
    on: float = 1.0
    off: float = 0.0
    dtype: str = "f32"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        indices = self.input(inputs, 0)
        pick(self, "element types", self.dtype, [str(d) for d in DType])
        check_axis(self, self.axis, indices.rank + 1, indices)
        shape = (*indices.shape[: self.axis], self.depth, *indices.shape[self.axis :])
        return (TensorType(shape, DType(self.dtype)),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        indices = given(inputs, 0).long()
        where = torch.where(indices < 0, indices + self.depth, indices).unsqueeze(self.axis)
        steps = torch.arange(self.depth).reshape(-1, *([1] * (indices.dim() - self.axis)))
        on, off = (torch.tensor(v, dtype=torch.float64) for v in (self.on, self.off))
        return torch.where(where == steps, on, off).to(carrier(DType(self.dtype)))
