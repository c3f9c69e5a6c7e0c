"""Activation functions."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.ops.elementwise import Unary

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Relu(Unary):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        (x,) = inputs
        assert x is not None
        return x.relu()


@dataclass(frozen=True)
class Clip(Unary):
    """min(max(x, low), high)."""

    kind: ClassVar[str] = "clip"

    low: float = -inf
    high: float = inf

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        (x,) = inputs
        assert x is not None
        return x.clamp(self.low, self.high)
