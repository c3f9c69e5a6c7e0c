"""Convolutions over one, two or three spatial axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.loops import Access, LoopNest, axis
from codesign.ir.op import Op, Types, refuse
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

Pads = tuple[tuple[int, int], ...]
SPATIAL = ("y", "x", "z")
TAPS = ("r", "s", "t")


def check_window(op: Op, strides: Sequence[int], pads: Pads, dilations: Sequence[int]) -> int:
    """Raise unless strides, pads and dilations agree in rank and are legal; return the rank."""
    rank = len(strides)
    legal = min(strides) > 0 and min(dilations) > 0 and min(min(p) for p in pads) >= 0
    if not 1 <= rank <= 3 or len(pads) != rank or len(dilations) != rank or not legal:
        raise refuse(op, f"needs 1-3 positive strides and dilations and as many pads: {op}")
    return rank


def extent(size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int) -> int:
    """Number of window positions along one axis."""
    return (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1


def torch_pad(x: "Tensor", pads: Pads, value: float = 0.0) -> "Tensor":
    """`x` padded by (before, after) along its last len(pads) axes."""
    import torch

    flat = [side for pad in reversed(pads) for side in pad]
    return torch.nn.functional.pad(x, flat, value=value) if any(flat) else x


@dataclass(frozen=True)
class Conv(Op):
    """Cross-correlation. x [N, C, *S], weight [M, C/groups, *K], bias [M] -> [N, M, *S']."""

    kind: ClassVar[str] = "conv"
    roles: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")

    strides: tuple[int, ...] = (1, 1)
    pads: Pads = ((0, 0), (0, 0))
    dilations: tuple[int, ...] = (1, 1)
    groups: int = 1

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, w = self.input(inputs, 0), self.input(inputs, 1)
        rank = check_window(self, self.strides, self.pads, self.dilations)
        if x.rank != rank + 2 or w.rank != rank + 2:
            raise refuse(self, f"over {rank} axes needs operands of rank {rank + 2}", x, w)
        if x.shape[1] != w.shape[1] * self.groups or w.shape[0] % self.groups:
            raise refuse(self, f"with groups={self.groups} cannot match channels", x, w)
        bias = inputs[2] if len(inputs) > 2 else None
        if bias is not None and bias.shape != w.shape[:1]:
            raise refuse(self, f"needs a bias of shape {w.shape[:1]}", bias)
        windows = zip(
            x.shape[2:], w.shape[2:], self.strides, self.pads, self.dilations, strict=True
        )
        spatial = tuple(extent(*window) for window in windows)
        if min(spatial) < 1:
            raise refuse(self, "has a window larger than its padded input", x, w)
        return (TensorType((x.shape[0], w.shape[0], *spatial), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x, w, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        function = (torch.conv1d, torch.conv2d, torch.conv3d)[len(self.strides) - 1]
        symmetric = all(before == after for before, after in self.pads)
        padding = [before for before, _ in self.pads] if symmetric else [0] * len(self.pads)
        x = x if symmetric else torch_pad(x, self.pads)
        y: Tensor = function(x, w, bias, self.strides, padding, self.dilations, self.groups)
        return y

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest:
        w, y = self.input(inputs, 1), outputs[0]
        rank, groups = len(self.strides), self.groups
        m, c = w.shape[0] // groups, w.shape[1]
        bounds = [("n", y.shape[0]), ("g", groups), ("m", m), ("c", c)]
        bounds += zip(SPATIAL, y.shape[2:], strict=False)
        bounds += zip(TAPS, w.shape[2:], strict=False)
        image = tuple(
            axis(
                (SPATIAL[i], self.strides[i]), (TAPS[i], self.dilations[i]), offset=-self.pads[i][0]
            )
            for i in range(rank)
        )
        taps = tuple(axis(name) for name in TAPS[:rank])
        spatial = tuple(axis(name) for name in SPATIAL[:rank])
        return LoopNest(
            tuple(bounds),
            (
                Access(0, (axis("n"), axis(("g", c), ("c", 1)), *image)),
                Access(1, (axis(("g", m), ("m", 1)), axis("c"), *taps)),
                Access(-1, (axis("n"), axis(("g", m), ("m", 1)), *spatial)),
            ),
        )


@dataclass(frozen=True)
class ConvTranspose(Op):
    """Transposed convolution. x [N, C, *S], weight [C, M/groups, *K], bias [M] -> [N, M, *S'].

    Output extent: (S - 1) * stride - pads + dilation * (K - 1) + output_pads + 1.
    """

    kind: ClassVar[str] = "conv_transpose"
    roles: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")

    strides: tuple[int, ...] = (1, 1)
    pads: Pads = ((0, 0), (0, 0))
    dilations: tuple[int, ...] = (1, 1)
    output_pads: tuple[int, ...] = (0, 0)
    groups: int = 1

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, w = self.input(inputs, 0), self.input(inputs, 1)
        rank = check_window(self, self.strides, self.pads, self.dilations)
        if x.rank != rank + 2 or w.rank != rank + 2 or len(self.output_pads) != rank:
            raise refuse(self, f"over {rank} axes needs operands of rank {rank + 2}", x, w)
        if x.shape[1] != w.shape[0] or x.shape[1] % self.groups:
            raise refuse(self, f"with groups={self.groups} cannot match channels", x, w)
        spatial = tuple(
            (x.shape[i + 2] - 1) * self.strides[i]
            - sum(self.pads[i])
            + self.dilations[i] * (w.shape[i + 2] - 1)
            + self.output_pads[i]
            + 1
            for i in range(rank)
        )
        if min(spatial) < 1:
            raise refuse(self, "has an empty result", x, w)
        return (TensorType((x.shape[0], w.shape[1] * self.groups, *spatial), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x, w, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        names = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
        function = getattr(torch, names[len(self.strides) - 1])
        # Whole transposed convolution, then cut: torch has one pad for both sides only.
        y: Tensor = function(x, w, None, self.strides, 0, 0, self.groups, self.dilations)
        crop = tuple(
            (-before, self.output_pads[i] - after) for i, (before, after) in enumerate(self.pads)
        )
        y = torch_pad(y, crop)
        return y if bias is None else y + bias.reshape(-1, *([1] * len(self.strides)))

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest:
        x, w = self.input(inputs, 0), self.input(inputs, 1)
        rank, c, m = len(self.strides), x.shape[1] // self.groups, w.shape[1]
        bounds = [("n", x.shape[0]), ("g", self.groups), ("c", c), ("m", m)]
        bounds += zip(SPATIAL, x.shape[2:], strict=False)
        bounds += zip(TAPS, w.shape[2:], strict=False)
        image = tuple(
            axis(
                (SPATIAL[i], self.strides[i]), (TAPS[i], self.dilations[i]), offset=-self.pads[i][0]
            )
            for i in range(rank)
        )
        spatial = tuple(axis(name) for name in SPATIAL[:rank])
        taps = tuple(axis(name) for name in TAPS[:rank])
        return LoopNest(
            tuple(bounds),
            (
                Access(0, (axis("n"), axis(("g", c), ("c", 1)), *spatial)),
                Access(1, (axis(("g", c), ("c", 1)), axis("m"), *taps)),
                Access(-1, (axis("n"), axis(("g", m), ("m", 1)), *image)),
            ),
        )
