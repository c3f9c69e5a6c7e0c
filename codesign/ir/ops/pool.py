"""Pooling windows over one, two or three spatial axes. Global pools are reductions."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.dtype import DType
from codesign.ir.op import Op, refuse
from codesign.ir.ops.convolution import Pads, check_window, extent, torch_pad
from codesign.ir.ops.operands import check_float, given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


def ceil_pads(
    size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int = 1
) -> tuple[int, int]:
    """The explicit (before, after) pads that give what `ceil_mode` gives with `pad`.

    As in ONNX and torch, a last window that would start in the padding after the input is left out.
    """
    window = dilation * (kernel - 1) + 1
    count = -(-(size + sum(pad) - window) // stride) + 1
    if (count - 1) * stride >= size + pad[0]:
        count -= 1
    return pad[0], max(pad[1], (count - 1) * stride + window - size - pad[0])


@dataclass(frozen=True)
class Pool(Op):
    """Base of the pools. x [N, C, *S] -> [N, C, *S'] with conv's rule for extents, rounded down.

    A ceil mode is expressed by larger pads, see `ceil_pads`.
    """

    kernel: tuple[int, ...] = (2, 2)
    strides: tuple[int, ...] = (1, 1)
    pads: Pads = ((0, 0), (0, 0))
    dilations: tuple[int, ...] = (1, 1)

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        rank = check_window(self, self.strides, self.pads, self.dilations)
        if x.rank != rank + 2 or len(self.kernel) != rank or min(self.kernel) < 1:
            raise refuse(self, f"over {len(self.kernel)} axes needs as many strides and axes", x)
        windows = zip(
            x.shape[2:], self.kernel, self.strides, self.pads, self.dilations, strict=True
        )
        spatial = tuple(extent(*window) for window in windows)
        if min(spatial) < 1:
            raise refuse(self, f"has a window {self.kernel} larger than its padded input", x)
        return (TensorType((*x.shape[:2], *spatial), x.dtype),)

    def windows(self, x: "Tensor") -> "Tensor":
        """The windows of the padded `x`: [N, C, *S', *kernel], a view."""
        for i, (taps, stride, step) in enumerate(
            zip(self.kernel, self.strides, self.dilations, strict=True)
        ):
            x = x.unfold(i + 2, step * (taps - 1) + 1, stride)[..., ::step]
        return x


@dataclass(frozen=True)
class MaxPool(Pool):
    """The largest element of each window; padding never wins.

    With `indices` the second result (i64) is where it was: the first largest one's position in the
    flattened x.
    """

    kind: ClassVar[str] = "max_pool"

    indices: bool = False

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        (y,) = super().infer(*inputs)
        return (y, TensorType(y.shape, DType.I64)) if self.indices else (y,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor | tuple[Tensor, ...]":
        import torch

        x = given(inputs, 0)
        carried = x if x.is_floating_point() else x.double()
        padded = torch_pad(carried, self.pads, -torch.inf)
        rank = len(self.kernel)
        function = getattr(torch.nn.functional, f"max_pool{rank}d")
        y, where = function(
            padded, self.kernel, self.strides, 0, self.dilations, return_indices=True
        )
        y = y.to(x.dtype)
        return (y, self._positions(where, x, padded)) if self.indices else y

    def _positions(self, where: "Tensor", x: "Tensor", padded: "Tensor") -> "Tensor":
        """Positions in the padded planes as positions in the flattened x."""
        import torch

        rest, flat, unit = where, torch.zeros_like(where), 1
        for i in reversed(range(len(self.kernel))):
            flat = flat + unit * (rest % padded.shape[i + 2] - self.pads[i][0])
            rest = rest // padded.shape[i + 2]
            unit *= x.shape[i + 2]
        planes = torch.arange(x.shape[0] * x.shape[1])
        return flat + unit * planes.reshape(*x.shape[:2], *([1] * len(self.kernel)))


@dataclass(frozen=True)
class AvgPool(Pool):
    """The mean of each window, over the elements inside x only unless `count_include_pad`."""

    kind: ClassVar[str] = "avg_pool"

    count_include_pad: bool = False

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        check_float(self, self.input(inputs, 0))
        return super().infer(*inputs)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        mean = self._mean(torch_pad(x, self.pads))
        if self.count_include_pad or not any(map(sum, self.pads)):
            return mean
        return mean / self._mean(torch_pad(torch.ones_like(x[:1, :1]), self.pads))

    def _mean(self, padded: "Tensor") -> "Tensor":
        import torch

        rank = len(self.kernel)
        if max(self.dilations) > 1:
            return self.windows(padded).sum(tuple(range(-rank, 0))) / prod(self.kernel)
        y: Tensor = getattr(torch.nn.functional, f"avg_pool{rank}d")(
            padded, self.kernel, self.strides
        )
        return y


@dataclass(frozen=True)
class LpPool(Pool):
    """The p-norm of each window."""

    kind: ClassVar[str] = "lp_pool"

    p: float = 2.0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        check_float(self, self.input(inputs, 0))
        return super().infer(*inputs)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        cut = self.windows(torch_pad(given(inputs, 0), self.pads))
        total = cut.abs().pow(self.p).sum(tuple(range(-len(self.kernel), 0)))
        return total.pow(1 / self.p)
