"""Comparisons, logic on truth values, tests for special numbers, and choice."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.dtype import DType
from codesign.ir.op import Op, refuse, same_dtype
from codesign.ir.ops.elementwise import Binary, Unary, broadcast
from codesign.ir.ops.operands import check_float, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Comparison(Binary):
    """A comparison of two tensors of one element type: bool."""

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        (result,) = super().infer(*inputs)
        return (TensorType(result.shape, DType.BOOL),)


@dataclass(frozen=True)
class Equal(Comparison):
    """a == b."""

    kind: ClassVar[str] = "equal"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a.eq(b)


@dataclass(frozen=True)
class Less(Comparison):
    """a < b."""

    kind: ClassVar[str] = "less"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a.lt(b)


@dataclass(frozen=True)
class LessEqual(Comparison):
    """a <= b."""

    kind: ClassVar[str] = "less_equal"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a.le(b)


@dataclass(frozen=True)
class Greater(Comparison):
    """a > b."""

    kind: ClassVar[str] = "greater"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a.gt(b)


@dataclass(frozen=True)
class GreaterEqual(Comparison):
    """a >= b."""

    kind: ClassVar[str] = "greater_equal"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a.ge(b)


@dataclass(frozen=True)
class Logical(Binary):
    """A connective of truth values; over integers it works bit by bit."""

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        a, b = self.input(inputs, 0), self.input(inputs, 1)
        if a.dtype.is_float or b.dtype.is_float:
            raise refuse(self, "needs operands of type bool or an integer", a, b)
        return super().infer(*inputs)


@dataclass(frozen=True)
class And(Logical):
    """a and b."""

    kind: ClassVar[str] = "and"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a & b


@dataclass(frozen=True)
class Or(Logical):
    """a or b."""

    kind: ClassVar[str] = "or"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a | b


@dataclass(frozen=True)
class Xor(Logical):
    """Either a or b but not both."""

    kind: ClassVar[str] = "xor"

    def apply(self, a: "Tensor", b: "Tensor") -> "Tensor":
        return a ^ b


@dataclass(frozen=True)
class Not(Unary):
    """not x; over integers the complement of the bits."""

    kind: ClassVar[str] = "not"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if x.dtype.is_float:
            raise refuse(self, "needs an operand of type bool or an integer", x)
        return (x.dense,)

    def apply(self, x: "Tensor") -> "Tensor":
        return ~x


@dataclass(frozen=True)
class IsNan(Unary):
    """True where x is NaN."""

    kind: ClassVar[str] = "is_nan"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        return (TensorType(x.shape, DType.BOOL),)

    def apply(self, x: "Tensor") -> "Tensor":
        return x.isnan()


@dataclass(frozen=True)
class IsInf(Unary):
    """True where x is infinite, of the signs asked for."""

    kind: ClassVar[str] = "is_inf"

    positive: bool = True
    negative: bool = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        return (TensorType(x.shape, DType.BOOL),)

    def apply(self, x: "Tensor") -> "Tensor":
        found = x.isinf()
        if not self.positive:
            found = found & (x < 0)
        return found if self.negative else found & (x > 0)


@dataclass(frozen=True)
class Where(Op):
    """a where the condition holds, else b; all three broadcast."""

    kind: ClassVar[str] = "where"
    roles: ClassVar[tuple[str, ...]] = ("condition", "a", "b")
    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        condition, a, b = (self.input(inputs, i) for i in range(3))
        same_dtype(self, a, b)
        if condition.dtype is not DType.BOOL:
            raise refuse(self, "needs a condition of type bool", condition)
        return (TensorType(broadcast(self, condition, a, b), a.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        return torch.where(given(inputs, 0), given(inputs, 1), given(inputs, 2))
