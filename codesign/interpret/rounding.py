"""Projection onto encodings inside torch, with straight-through gradients."""

from typing import Any

import torch
from torch import Tensor

from codesign.interpret.arrays import to_torch
from codesign.interpret.straight import on_grid
from codesign.ir import encoding as enc
from codesign.ir.encoding import Encodings
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary


def project_int(x: Tensor, encoding: Int) -> tuple[Tensor, Tensor]:
    """`x` rounded onto the integer grid as `Int` defines it, and where it was not clipped."""
    scale = to_torch(encoding.along(encoding.scale, x.dim()))
    zero = to_torch(encoding.along(encoding.zero, x.dim())).double()
    codes = (x.float() / scale).round().double() + zero
    inside = (codes >= encoding.low) & (codes <= encoding.high)
    centred = codes.clamp(encoding.low, encoding.high) - zero
    return (centred.float() * scale).to(x.dtype), inside


def _round_int(x: Tensor, encoding: Int) -> Tensor:
    """What `project_int` gives, for at most 16 bits, whose codes float32 holds exactly."""
    scale = to_torch(encoding.along(encoding.scale, x.dim()))
    zero = to_torch(encoding.along(encoding.zero, x.dim())).float()
    codes = (x.float() / scale).round_()
    if zero.dim():
        codes = torch.minimum(torch.maximum(codes, encoding.low - zero), encoding.high - zero)
    else:
        codes = codes.clamp_(encoding.low - float(zero), encoding.high - float(zero))
    return codes.add_(0.0).mul_(scale).to(x.dtype)  # no negative zeros


class _Rounded(torch.autograd.Function):
    """The projection forwards, the identity backwards except where the grid clips.

    Bengio et al., Estimating or propagating gradients through stochastic neurons, 2013.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, encodings: Encodings) -> Tensor:
        inside = None
        if len(encodings) == 1 and isinstance(integer := encodings[0], Int):
            y, inside = project_int(x, integer)
        else:
            y = to_torch(enc.project(encodings, x.detach().numpy())).clone()
        context.save_for_backward(*([] if inside is None else [inside]))
        return y

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        saved = context.saved_tensors
        return (gradients[0] * saved[0] if saved else gradients[0]), None


def project(x: Tensor, encodings: Encodings, weight: bool = False) -> Tensor:
    """The nearest tensor that `encodings` represent; gradients pass straight through.

    Those of a binary or ternary `weight` everywhere, those of other values where |x| is within the
    reach of the grid (Courbariaux et al., Binarized neural networks, 2016, eq. 4).
    """
    if not encodings:
        return x
    if len(encodings) == 1 and isinstance(encodings[0], Binary | Ternary):
        return on_grid(x, encodings[0], weight)
    first, plain = encodings[0], not (torch.is_grad_enabled() and x.requires_grad)
    if plain and len(encodings) == 1 and isinstance(first, Int) and first.width <= 16:
        return _round_int(x, first)
    result: Tensor = _Rounded.apply(x, encodings)  # type: ignore[no-untyped-call]
    return result


def element_of(encodings: Encodings) -> Encodings:
    """Those of `encodings` that approximate single elements."""
    return tuple(e for e in encodings if e.role == "element")
