"""Element-wise arithmetic with numpy broadcasting."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from codesign.ir.op import Op, refuse, same_dtype
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


def broadcast(op: Op, *types: TensorType) -> tuple[int, ...]:
    """The broadcast shape of `types`, or VerificationError."""
    try:
        return tuple(np.broadcast_shapes(*(t.shape for t in types)))
    except ValueError:
        raise refuse(op, "cannot broadcast its operands", *types) from None


@dataclass(frozen=True)
class Unary(Op):
    """An element-wise function of one tensor that keeps its type."""

    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        return (self.input(inputs, 0).dense,)


@dataclass(frozen=True)
class Binary(Op):
    """An element-wise function of two tensors of one element type, broadcast."""

    roles: ClassVar[tuple[str, ...]] = ("a", "b")
    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        a, b = self.input(inputs, 0), self.input(inputs, 1)
        same_dtype(self, a, b)
        return (TensorType(broadcast(self, a, b), a.dtype),)


@dataclass(frozen=True)
class Add(Binary):
    """a + b."""

    kind: ClassVar[str] = "add"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        a, b = inputs
        assert a is not None and b is not None
        return a + b


@dataclass(frozen=True)
class Sub(Binary):
    """a - b."""

    kind: ClassVar[str] = "sub"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        a, b = inputs
        assert a is not None and b is not None
        return a - b


@dataclass(frozen=True)
class Mul(Binary):
    """a * b."""

    kind: ClassVar[str] = "mul"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        a, b = inputs
        assert a is not None and b is not None
        return a * b


@dataclass(frozen=True)
class Div(Binary):
    """a / b; integers truncate towards zero (ONNX Div)."""

    kind: ClassVar[str] = "div"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        a, b = inputs
        assert a is not None and b is not None
        return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")
