"""Normalizations, all in inference form."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import (
    check_axis,
    check_float,
    check_shape,
    given,
    maybe,
    maybe_type,
)
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


def _channels(op: Op, *inputs: TensorType | None) -> TensorType:
    """Check x [N, C, *S] and every further operand [C]; return x."""
    x = op.input(inputs, 0)
    check_float(op, x)
    if x.rank < 2:
        raise refuse(op, "needs x of shape [N, C, ...]", x)
    for role, found in zip(op.roles[1:], inputs[1:], strict=False):
        check_shape(op, role.strip("?"), x.shape[1:2], found)
    return x


def _per_channel(x: "Tensor", vector: "Tensor") -> "Tensor":
    return vector.reshape(1, -1, *([1] * (x.dim() - 2)))


def _affine(x: "Tensor", scale: "Tensor | None", bias: "Tensor | None") -> "Tensor":
    x = x if scale is None else x * _per_channel(x, scale)
    return x if bias is None else x + _per_channel(x, bias)


@dataclass(frozen=True)
class BatchNorm(Op):
    """(x - mean) / sqrt(var + epsilon) * scale + bias by channel: x [N, C, *S], the others [C].

    Ioffe and Szegedy, 2015, with the statistics of training.
    """

    kind: ClassVar[str] = "batch_norm"
    roles: ClassVar[tuple[str, ...]] = ("x", "scale", "bias", "mean", "var")

    epsilon: float = 1e-5

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        for role in range(5):
            self.input(inputs, role)
        return (_channels(self, *inputs).dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        scale, bias, mean, var = (given(inputs, i) for i in range(1, 5))
        factor = scale / (var + self.epsilon).sqrt()
        return (x - _per_channel(x, mean)) * _per_channel(x, factor) + _per_channel(x, bias)


@dataclass(frozen=True)
class LayerNorm(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis` on.

    `scale` and `bias` have the shape of those axes (Ba et al., 2016).
    """

    kind: ClassVar[str] = "layer_norm"
    roles: ClassVar[tuple[str, ...]] = ("x", "scale?", "bias?")

    axis: int = 1
    epsilon: float = 1e-5

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        check_axis(self, self.axis, x.rank, x)
        check_shape(self, "scale", x.shape[self.axis :], maybe_type(inputs, 1))
        check_shape(self, "bias", x.shape[self.axis :], maybe_type(inputs, 2))
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        shape = list(x.shape[self.axis :])
        return torch.nn.functional.layer_norm(
            x, shape, maybe(inputs, 1), maybe(inputs, 2), self.epsilon
        )


@dataclass(frozen=True)
class RmsNorm(Op):
    """x / sqrt(mean(x^2) + epsilon) * scale over the axes from `axis` on (Zhang, Sennrich, 2019).

    `scale` broadcasts to the shape of those axes.
    """

    kind: ClassVar[str] = "rms_norm"
    roles: ClassVar[tuple[str, ...]] = ("x", "scale?")

    axis: int = 1
    epsilon: float = 1e-5

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        check_axis(self, self.axis, x.rank, x)
        check_shape(self, "scale", x.shape[self.axis :], maybe_type(inputs, 1))
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, scale = given(inputs, 0), maybe(inputs, 1)
        axes = tuple(range(self.axis, x.dim()))
        y = x / (x.square().mean(axes, keepdim=True) + self.epsilon).sqrt()
        return y if scale is None else y * scale


@dataclass(frozen=True)
class GroupNorm(Op):
    """Normalize each group of channels and all their pixels; x [N, C, *S], scale and bias [C].

    Wu and He, 2018.
    """

    kind: ClassVar[str] = "group_norm"
    roles: ClassVar[tuple[str, ...]] = ("x", "scale?", "bias?")

    groups: int = 1
    epsilon: float = 1e-5

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = _channels(self, *inputs)
        if self.groups < 1 or x.shape[1] % self.groups:
            raise refuse(self, f"needs channels that {self.groups} groups divide", x)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        return torch.nn.functional.group_norm(
            given(inputs, 0), self.groups, maybe(inputs, 1), maybe(inputs, 2), self.epsilon
        )


@dataclass(frozen=True)
class InstanceNorm(Op):
    """Normalize each channel of each sample over its pixels; x [N, C, *S], scale and bias [C].

    Ulyanov et al., 2016.
    """

    kind: ClassVar[str] = "instance_norm"
    roles: ClassVar[tuple[str, ...]] = ("x", "scale?", "bias?")

    epsilon: float = 1e-5

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        return (_channels(self, *inputs).dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        axes = tuple(range(2, x.dim()))
        centred = x - x.mean(axes, keepdim=True)
        y = centred / (centred.square().mean(axes, keepdim=True) + self.epsilon).sqrt()
        return _affine(y, maybe(inputs, 1), maybe(inputs, 2))


@dataclass(frozen=True)
class LpNorm(Op):
    """x divided by its p-norm along `axis`; a norm below `epsilon` counts as `epsilon`.

    Where the norm is 0, the result is 0.
    """

    kind: ClassVar[str] = "lp_norm"

    axis: int = 1
    p: int = 2
    epsilon: float = 0.0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_float(self, x)
        check_axis(self, self.axis, x.rank, x)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        norm: Tensor = torch.linalg.vector_norm(x, self.p, self.axis, keepdim=True).clamp(
            min=self.epsilon
        )
        return x / norm.where(norm > 0, torch.ones_like(norm))


@dataclass(frozen=True)
class Lrn(Op):
    """x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.

    Krizhevsky et al., 2012, section 3.3.
    """

    kind: ClassVar[str] = "lrn"

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = _channels(self, *inputs)
        if self.size < 1:
            raise refuse(self, f"needs a positive size, not {self.size}", x)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        before, after = (self.size - 1) // 2, self.size // 2
        flat = [0, 0] * (x.dim() - 2) + [before, after]
        total = torch.nn.functional.pad(x.square(), flat).unfold(1, self.size, 1).sum(-1)
        return x / (self.bias + self.alpha / self.size * total).pow(self.beta)
