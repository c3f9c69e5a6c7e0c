"""Matrix products: batched with broadcasting, and fully connected layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from codesign.ir.loops import Access, LoopNest, Projection, axis
from codesign.ir.op import Op, Types, refuse, same_dtype
from codesign.ir.ops.operands import check_shape, given, maybe, maybe_type
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MatMul(Op):
    """a [..., M, K] times b [..., K, N] -> [..., M, N] with numpy's rules.

    Leading axes broadcast; a 1-D a counts as [1, K], a 1-D b as [K, 1], and the result loses that
    axis again.
    """

    kind: ClassVar[str] = "matmul"
    roles: ClassVar[tuple[str, ...]] = ("a", "b")

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        a, b = self.input(inputs, 0), self.input(inputs, 1)
        same_dtype(self, a, b)
        if not a.rank or not b.rank or a.shape[-1] != b.shape[-2 if b.rank > 1 else -1]:
            raise refuse(self, "needs a of shape [..., M, K] and b of shape [..., K, N]", a, b)
        try:
            batch = tuple(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
        except ValueError:
            raise refuse(self, "cannot broadcast the leading axes", a, b) from None
        rows = a.shape[-2:-1] if a.rank > 1 else ()
        columns = b.shape[-1:] if b.rank > 1 else ()
        return (TensorType((*batch, *rows, *columns), a.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0) @ given(inputs, 1)

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest:
        a, b, y = self.input(inputs, 0), self.input(inputs, 1), outputs[0]
        rows = a.shape[-2] if a.rank > 1 else 1
        columns = b.shape[-1] if b.rank > 1 else 1
        batch = y.shape[: y.rank - (a.rank > 1) - (b.rank > 1)]
        names = [f"b{i}" for i in range(len(batch))]

        def leading(t: TensorType) -> list[Projection]:
            shape = t.shape[:-2]
            used = names[len(names) - len(shape) :]
            return [
                axis(n) if extent > 1 else axis() for n, extent in zip(used, shape, strict=True)
            ]

        bounds = (*zip(names, batch, strict=True), ("m", rows), ("n", columns), ("k", a.shape[-1]))
        m, n, k = axis("m"), axis("n"), axis("k")
        return LoopNest(
            tuple(bounds),
            (
                Access(0, (*leading(a), m, k) if a.rank > 1 else (k,)),
                Access(1, (*leading(b), k, n) if b.rank > 1 else (k,)),
                Access(-1, (*map(axis, names), *([m] * (a.rank > 1)), *([n] * (b.rank > 1)))),
            ),
        )


@dataclass(frozen=True)
class Linear(Op):
    """A fully connected layer: x [..., K], weight [N, K], bias [N] -> [..., N]."""

    kind: ClassVar[str] = "linear"
    roles: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, w, bias = self.input(inputs, 0), self.input(inputs, 1), maybe_type(inputs, 2)
        same_dtype(self, x, w)
        if not x.rank or w.rank != 2 or x.shape[-1] != w.shape[1]:
            raise refuse(self, "needs x of shape [..., K] and a weight of shape [N, K]", x, w)
        check_shape(self, "a bias", w.shape[:1], bias)
        return (TensorType((*x.shape[:-1], w.shape[0]), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        return torch.nn.functional.linear(given(inputs, 0), given(inputs, 1), maybe(inputs, 2))

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest:
        x, w = self.input(inputs, 0), self.input(inputs, 1)
        names = [f"m{i}" for i in range(x.rank - 1)]
        rows = tuple(axis(name) for name in names)
        bounds = zip(names, x.shape[:-1], strict=True)
        return LoopNest(
            (*bounds, ("n", w.shape[0]), ("k", w.shape[1])),
            (
                Access(0, (*rows, axis("k"))),
                Access(1, (axis("n"), axis("k"))),
                Access(-1, (*rows, axis("n"))),
            ),
        )
