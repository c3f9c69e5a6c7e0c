"""Functions that normalize along one axis to a distribution."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op
from codesign.ir.ops.operands import check_axis, check_float, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AlongAxis(Op):
    """A float function along `axis` that keeps the shape."""

    axis: int = 1

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        check_axis(self, self.axis, x.rank, x)
        return (x.dense,)


@dataclass(frozen=True)
class Softmax(AlongAxis):
    """exp(x) / sum(exp(x)) along `axis`."""

    kind: ClassVar[str] = "softmax"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0).softmax(self.axis)


@dataclass(frozen=True)
class LogSoftmax(AlongAxis):
    """x - log(sum(exp(x))) along `axis`."""

    kind: ClassVar[str] = "log_softmax"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0).log_softmax(self.axis)


@dataclass(frozen=True)
class Hardmax(AlongAxis):
    """1 at the first largest element along `axis`, else 0."""

    kind: ClassVar[str] = "hardmax"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        return torch.zeros_like(x).scatter(self.axis, x.argmax(self.axis, keepdim=True), 1.0)
