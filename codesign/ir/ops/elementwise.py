"""Element-wise arithmetic with numpy broadcasting."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from codesign.ir.op import Op, refuse, same_dtype
from codesign.ir.ops.operands import check_integer, given
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
    """An element-wise function of one tensor that keeps its type; subclasses give `apply`."""

    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        return (self.input(inputs, 0).dense,)

    @abstractmethod
    def apply(self, x: "Tensor") -> "Tensor":
        """The function."""

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return self.apply(given(inputs, 0))


@dataclass(frozen=True)
class Binary(Op):
    """An element-wise function of two tensors of one element type, broadcast."""

    roles: ClassVar[tuple[str, ...]] = ("a", "b")
    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        a, b = self.input(inputs, 0), self.input(inputs, 1)
        same_dtype(self, a, b)
        return (TensorType(broadcast(self, a, b), a.dtype),)

    @abstractmethod
    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        """The function."""

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return self.apply(given(inputs, 0), given(inputs, 1))


@dataclass(frozen=True)
class Add(Binary):
    """a + b."""

    kind: ClassVar[str] = "add"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a + b


@dataclass(frozen=True)
class Sub(Binary):
    """a - b."""

    kind: ClassVar[str] = "sub"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a - b


@dataclass(frozen=True)
class Mul(Binary):
    """a * b."""

    kind: ClassVar[str] = "mul"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a * b


@dataclass(frozen=True)
class Div(Binary):
    """a / b; integers truncate towards zero (ONNX Div)."""

    kind: ClassVar[str] = "div"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        import torch

        return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


@dataclass(frozen=True)
class Pow(Binary):
    """a to the power of b, in the element type of a; b may have another one (ONNX Pow)."""

    kind: ClassVar[str] = "pow"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        a, b = self.input(inputs, 0), self.input(inputs, 1)
        return (TensorType(broadcast(self, a, b), a.dtype),)

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        import torch

        if a.is_floating_point():
            return torch.pow(a, b.to(a.dtype))
        if b.is_floating_point():
            return torch.pow(a.double(), b.double()).to(a.dtype)
        return torch.pow(a, b.to(a.dtype))


@dataclass(frozen=True)
class Mod(Binary):
    """Remainder of a / b with the sign of b, or with `fmod` the sign of a (C's fmod)."""

    kind: ClassVar[str] = "mod"

    fmod: bool = False

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        import torch

        return torch.fmod(a, b) if self.fmod else torch.remainder(a, b)


@dataclass(frozen=True)
class Minimum(Binary):
    """The smaller of a and b; NaN if either is."""

    kind: ClassVar[str] = "min"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        import torch

        return torch.minimum(a, b)


@dataclass(frozen=True)
class Maximum(Binary):
    """The larger of a and b; NaN if either is."""

    kind: ClassVar[str] = "max"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        import torch

        return torch.maximum(a, b)


@dataclass(frozen=True)
class Shift(Binary):
    """The integer a shifted by b bits, `left` or (logically for unsigned types) right."""

    kind: ClassVar[str] = "shift"

    left: bool = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        check_integer(self, self.input(inputs, 0), self.input(inputs, 1))
        return super().infer(*inputs)

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a << b if self.left else a >> b
