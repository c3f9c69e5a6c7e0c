"""Constants in training: float weights behind what is stored."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from codesign.errors import TrainingError
from codesign.interpret.arrays import to_torch
from codesign.interpret.rounded import Learned, unit
from codesign.interpret.rounding import project
from codesign.interpret.straight import rule_of, straight
from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.types import TensorType

LEAST = 1e-12  # a scale, where all weights of a channel are 0
SHARE = 0.7  # of the mean magnitude, above which a ternary weight is not zero
BELOW = 0.999  # of the scale, which a threshold does not reach


class Latent(torch.nn.Module):
    """A float parameter, seen by the graph as its encodings store it.

    What a structure leaves out stays zero. Scales of integers are learned if `steps`; those of
    binary and ternary weights follow the latent weights (mean magnitude: Rastegari et al., 2016,
    eq. 6; threshold and mean above it: Li et al., 2016, eq. 6 and 3) unless they are 1. Other
    encodings are projected onto in numpy.
    """

    mask: Tensor

    def __init__(
        self, kind: TensorType, start: np.ndarray, stored: np.ndarray, steps: bool
    ) -> None:
        super().__init__()
        self.kind = kind
        self.weight = torch.nn.Parameter(_laid(to_torch(start).clone()))
        form, structure = kind.grid, kind.structure
        others = [e for e in kind.encodings if e.role not in ("element", "structure")]
        self.native = not others and (form is not None or kind.element is None)
        self.native &= structure is None or form is None or form.zero_is_zero
        self.form: Grid | None = form if self.native else None
        if self.native and structure is not None:
            self.register_buffer("mask", _laid(to_torch((stored != 0).astype(stored.dtype))))
        if isinstance(self.form, Int):
            self.scale = Learned(self.form, kind.rank, steps)

    def forward(self) -> Tensor:
        """The logical weights; gradients pass straight through to the latent ones."""
        if not self.kind.encodings:
            return self.weight
        if not self.native:
            return project(self.weight, self.kind.encodings, weight=True)
        w = self.masked()
        if self.form is None:
            return w
        if isinstance(self.form, Int):
            return straight(w, self.scale(), rule_of(self.form, w.dim(), "clip"))
        form = self.following()
        scale = to_torch(form.scale.array).reshape(_along(form, w.dim()))
        return straight(w, scale, rule_of(form, w.dim(), "through"))

    def masked(self) -> Tensor:
        """The latent weights, zero where the structure stores nothing."""
        return self.weight * self.mask if "mask" in self._buffers else self.weight

    @torch.no_grad()
    def following(self) -> Grid:
        """The binary or ternary encoding for the latent weights as they are."""
        form = self.form
        assert isinstance(form, Binary | Ternary)
        if unit(form):
            return form
        size = self.masked().abs()
        axes = [i for i in range(size.dim()) if i != form.axis]
        mean = size.mean(axes) if axes else size
        if isinstance(form, Binary):
            return replace(form, scale=_const(mean.clamp_min(LEAST)))
        low = SHARE * mean
        above = (size > low.reshape(_along(form, size.dim()))).to(size.dtype)
        count = above.sum(axes) if axes else above
        total = (size * above).sum(axes) if axes else size * above
        scale = (total / count.clamp_min(1)).clamp_min(LEAST)
        low = torch.minimum(low, scale * BELOW)
        return replace(form, scale=_const(scale), threshold=_const(low))

    def stored(self, name: str, kind: TensorType) -> tuple[TensorType, Const]:
        """The type and value of the constant; TrainingError if it is not finite."""
        array = np.array(self.masked().detach().numpy(), copy=True, order="C")
        if not np.isfinite(array).all():
            raise TrainingError(f"training diverged: weight {name!r} is not finite")
        if isinstance(self.form, Int):
            kind = kind.with_encoding(replace(self.form, scale=self.scale.const(name)))
        elif self.form is not None:
            kind = kind.with_encoding(self.following())
        return kind, Const.share(enc.project(kind.encodings, array))


def _laid(tensor: Tensor) -> Tensor:
    """Kernels of images in the layout that convolutions are fastest in."""
    if tensor.dim() != 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def _along(form: Grid, rank: int) -> list[int]:
    """The shape in which a vector of scales broadcasts."""
    if form.axis is None:
        return [1] * rank
    return [-1 if i == form.axis else 1 for i in range(rank)]


def _const(tensor: Tensor) -> Const:
    return Const(tensor.numpy(), "float32")
