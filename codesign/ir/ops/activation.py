"""Activation functions."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, same_dtype
from codesign.ir.ops.elementwise import Unary, broadcast
from codesign.ir.ops.operands import check_float, given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Activation(Unary):
    """A function over floating-point numbers."""

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        check_float(self, self.input(inputs, 0))
        return super().infer(*inputs)


@dataclass(frozen=True)
class Relu(Unary):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.relu()


@dataclass(frozen=True)
class Clip(Unary):
    """min(max(x, low), high)."""

    kind: ClassVar[str] = "clip"

    low: float = -inf
    high: float = inf

    def apply(self, x: "Tensor") -> "Tensor":
        if x.is_floating_point():
            return x.clamp(self.low, self.high)
        low = None if self.low == -inf else int(self.low)
        high = None if self.high == inf else int(self.high)
        return x if low is None and high is None else x.clamp(low, high)


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """x where positive, else alpha * x."""

    kind: ClassVar[str] = "leaky_relu"

    alpha: float = 0.01

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return torch.where(x < 0, self.alpha * x, x)


@dataclass(frozen=True)
class ThresholdedRelu(Activation):
    """x where above alpha, else 0."""

    kind: ClassVar[str] = "thresholded_relu"

    alpha: float = 1.0

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return torch.where(x > self.alpha, x, torch.zeros_like(x))


@dataclass(frozen=True)
class Prelu(Op):
    """x where positive, else slope * x; slope broadcasts to x ([C, 1, 1] is one a channel)."""

    kind: ClassVar[str] = "prelu"
    roles: ClassVar[tuple[str, ...]] = ("x", "slope")
    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, slope = self.input(inputs, 0), self.input(inputs, 1)
        same_dtype(self, x, slope)
        return (TensorType(broadcast(self, x, slope), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        return torch.where(x < 0, given(inputs, 1) * x, x)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "sigmoid"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.sigmoid()


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """min(max(alpha * x + beta, 0), 1)."""

    kind: ClassVar[str] = "hard_sigmoid"

    alpha: float = 0.2
    beta: float = 0.5

    def apply(self, x: "Tensor") -> "Tensor":
        return (self.alpha * x + self.beta).clamp(0, 1)


@dataclass(frozen=True)
class HardSwish(Activation):
    """x * min(max(x + 3, 0), 6) / 6 (Howard et al., Searching for MobileNetV3, 2019)."""

    kind: ClassVar[str] = "hard_swish"

    def apply(self, x: "Tensor") -> "Tensor":
        return x * (x + 3).clamp(0, 6) / 6


@dataclass(frozen=True)
class Silu(Activation):
    """x * sigmoid(x) (swish)."""

    kind: ClassVar[str] = "silu"

    def apply(self, x: "Tensor") -> "Tensor":
        return x * x.sigmoid()


@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "tanh"

    def apply(self, x: "Tensor") -> "Tensor":
        return x.tanh()


@dataclass(frozen=True)
class Gelu(Activation):
    """x * Phi(x), exact or with the tanh approximation (Hendrycks and Gimpel, 2016)."""

    kind: ClassVar[str] = "gelu"

    approximate: str = "none"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        pick(self, "approximations", self.approximate, ("none", "tanh"))
        return super().infer(*inputs)

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return torch.nn.functional.gelu(x, approximate=self.approximate)


@dataclass(frozen=True)
class Elu(Activation):
    """x where positive, else alpha * (exp(x) - 1)."""

    kind: ClassVar[str] = "elu"

    alpha: float = 1.0

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return torch.where(x < 0, self.alpha * torch.expm1(x.clamp(max=0)), x)


@dataclass(frozen=True)
class Selu(Activation):
    """gamma * (x where positive, else alpha * (exp(x) - 1)) (Klambauer et al., 2017)."""

    kind: ClassVar[str] = "selu"

    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return self.gamma * torch.where(x < 0, self.alpha * torch.expm1(x.clamp(max=0)), x)


@dataclass(frozen=True)
class Celu(Activation):
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0) (Barron, 2017)."""

    kind: ClassVar[str] = "celu"

    alpha: float = 1.0

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return x.clamp(min=0) + self.alpha * torch.expm1(x.clamp(max=0) / self.alpha)


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(x))."""

    kind: ClassVar[str] = "softplus"

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return torch.logaddexp(x, torch.zeros_like(x))


@dataclass(frozen=True)
class Softsign(Activation):
    """x / (1 + |x|)."""

    kind: ClassVar[str] = "softsign"

    def apply(self, x: "Tensor") -> "Tensor":
        return x / (1 + x.abs())


@dataclass(frozen=True)
class Mish(Activation):
    """x * tanh(log(1 + exp(x))) (Misra, 2019)."""

    kind: ClassVar[str] = "mish"

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        return x * torch.logaddexp(x, torch.zeros_like(x)).tanh()


@dataclass(frozen=True)
class Shrink(Activation):
    """x + bias below -threshold, x - bias above threshold, 0 between."""

    kind: ClassVar[str] = "shrink"

    bias: float = 0.0
    threshold: float = 0.5

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        low = torch.where(x < -self.threshold, x + self.bias, torch.zeros_like(x))
        return torch.where(x > self.threshold, x - self.bias, low)
