"""Rounding onto grids inside torch, with gradients that pass straight through.

The forward values are those of the encodings' own numpy code, bit for bit; backwards rounding is
taken for the identity (Bengio et al., Estimating or propagating gradients through stochastic
neurons, 2013), scales have the gradient of Esser et al., Learned step size quantization, 2020.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from codesign.interpret.arrays import to_torch
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.scale import along
from codesign.ir.encodings.ternary import Ternary

Surrogate = Literal["clip", "triangle", "through"]
Bound = Tensor | float


@dataclass(frozen=True)
class Rule:
    """How x / scale becomes a whole multiple, and what gradient passes.

    `low` and `high` are the least and the greatest multiple; with a `threshold` (of x) multiples
    are signs, 0 up to it, and without one x / scale is rounded half to even; `sign` knows no 0.
    `surrogate` is the slope of the way back: `clip` is 1 where nothing is clipped; `triangle`, for
    two levels, falls linearly with the distance from the step between them (Liu et al., Bi-Real
    Net, 2018, eq. 9); `through` is 1 everywhere.
    """

    low: Bound
    high: Bound
    sign: bool = False
    threshold: Tensor | None = None
    surrogate: Surrogate = "clip"

    def multiples(self, x: Tensor, u: Tensor) -> Tensor:
        """The multiples of x with u = x / scale, -0.0 excluded."""
        if self.sign:
            return (x >= 0).to(x.dtype).mul_(2).sub_(1)
        if self.threshold is not None:
            return (torch.sign(x) * (x.abs() > self.threshold)).add_(0.0)
        return _clamped(u.round(), self.low, self.high).add_(0.0)

    def slope(self, u: Tensor) -> Tensor | None:
        """The gradient of the multiples by u; None for 1 everywhere."""
        if self.surrogate == "through":
            return None
        if self.surrogate == "clip":
            return self.inside(u)
        half, middle = (self.high - self.low) / 2, (self.high + self.low) / 2
        return (u - middle).abs_().div_(-half / 2).add_(2).clamp_(min=0)

    def inside(self, u: Tensor) -> Tensor:
        """Where u is not clipped: true or false."""
        half, middle = (self.high - self.low) / 2, (self.high + self.low) / 2
        reach = half if self.sign else half + 0.5
        return (u - middle).abs_() <= reach


def _clamped(x: Tensor, low: Bound, high: Bound) -> Tensor:
    """`x` between bounds that are numbers or broadcast."""
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return torch.minimum(torch.maximum(x, torch.as_tensor(low)), torch.as_tensor(high))
    return x.clamp_(low, high)


class _Straight(torch.autograd.Function):
    """The projection forwards; see the module for the way back."""

    @staticmethod
    def forward(context: Any, x: Tensor, scale: Tensor, rule: Rule) -> Tensor:
        u = x / scale
        m = rule.multiples(x, u)
        context.save_for_backward(u, m, scale)
        context.rule = rule
        return m * scale

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g,), (u, m, scale), rule = gradients, context.saved_tensors, context.rule
        slope = rule.slope(u)
        by_x = g if slope is None else g * slope
        if not context.needs_input_grad[1]:
            return by_x, None, None
        within = by_x if rule.surrogate == "clip" else g * rule.inside(u)
        terms = _summed(g * m, scale.shape) - _summed(within * u, scale.shape)
        covered = u.numel() / max(scale.numel(), 1)
        weight = (covered * max(1.0, float(torch.as_tensor(rule.high).max()))) ** -0.5
        return by_x, terms * weight, None


def _summed(x: Tensor, shape: torch.Size) -> Tensor:
    """`x` summed over the axes along which `shape` is broadcast."""
    lead = x.dim() - len(shape)
    axes = [*range(lead), *(lead + i for i, e in enumerate(shape) if e == 1)]
    found = x.sum(axes, keepdim=True) if axes else x
    return found.reshape(shape)


def rule_of(form: Grid, rank: int, surrogate: Surrogate) -> Rule:
    """The rule of `form` for tensors of `rank` axes; a `triangle` is for two levels alone."""
    if isinstance(form, Binary):
        return Rule(-1.0, 1.0, sign=True, surrogate=surrogate)
    if isinstance(form, Ternary):
        low = to_torch(along(form.threshold, form.axis, rank))
        kept: Surrogate = "clip" if surrogate == "triangle" else surrogate
        return Rule(-1.0, 1.0, threshold=low, surrogate=kept)
    assert isinstance(form, Int)
    zero = form.along(form.zero, rank)
    low, high = to_torch(form.low - zero).float(), to_torch(form.high - zero).float()
    two = form.width == 1
    kept = surrogate if two or surrogate == "through" else "clip"
    if zero.ndim == 0:
        return Rule(float(low), float(high), surrogate=kept)
    return Rule(low, high, surrogate=kept)


def scale_of(form: Grid, rank: int) -> Tensor:
    """The scale of `form`, laid out to broadcast against `rank` axes."""
    return to_torch(along(form.scale, form.axis, rank))


def straight(x: Tensor, scale: Tensor, rule: Rule) -> Tensor:
    """`x` on the grid of `scale` and `rule`, differentiable by both."""
    result: Tensor = _Straight.apply(x, scale, rule)  # type: ignore[no-untyped-call]
    return result


def on_grid(x: Tensor, form: Grid, weight: bool = False) -> Tensor:
    """`x` projected onto `form`, whose scale stays.

    Gradients pass where nothing is clipped; those of binary and ternary weights pass everywhere.
    """
    surrogate: Surrogate = "through" if weight and not isinstance(form, Int) else "clip"
    return straight(x, scale_of(form, x.dim()), rule_of(form, x.dim(), surrogate))
