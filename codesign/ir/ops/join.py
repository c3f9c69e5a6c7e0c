"""Joining, cutting, padding and repeating along axes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, refuse, same_dtype
from codesign.ir.ops.convolution import Pads
from codesign.ir.ops.operands import check_axis, given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

PAD_MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True)
class Concat(Op):
    """The inputs one after the other along `axis`."""

    kind: ClassVar[str] = "concat"
    roles: ClassVar[tuple[str, ...]] = ("x*",)

    axis: int = 1

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        parts = [self.input((part,), 0) for part in inputs]
        if not parts:
            raise refuse(self, "needs at least one input")
        same_dtype(self, *parts)
        check_axis(self, self.axis, parts[0].rank, *parts)
        rests = {(*p.shape[: self.axis], None, *p.shape[self.axis + 1 :]) for p in parts}
        if len(rests) > 1:
            raise refuse(self, f"needs equal extents on all axes but {self.axis}", *parts)
        whole = list(parts[0].shape)
        whole[self.axis] = sum(part.shape[self.axis] for part in parts)
        return (TensorType(tuple(whole), parts[0].dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        return torch.cat([given(inputs, i) for i in range(len(inputs))], self.axis)


@dataclass(frozen=True)
class Split(Op):
    """x cut along `axis` into parts of `sizes`, one result each."""

    kind: ClassVar[str] = "split"

    axis: int = 1
    sizes: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        check_axis(self, self.axis, x.rank, x)
        if sum(self.sizes) != x.shape[self.axis] or min(self.sizes, default=-1) < 0:
            raise refuse(self, f"needs sizes {self.sizes} that add up along axis {self.axis}", x)
        before, after = x.shape[: self.axis], x.shape[self.axis + 1 :]
        return tuple(TensorType((*before, size, *after), x.dtype) for size in self.sizes)

    def evaluate(self, *inputs: "Tensor | None") -> "tuple[Tensor, ...]":
        import torch

        return torch.split_with_sizes(given(inputs, 0), list(self.sizes), self.axis)


@dataclass(frozen=True)
class Slice(Op):
    """The elements start, start + step, ... before end along each of `axes` (Python's rules).

    Negative starts and ends count from the end; both are clamped; steps may be negative.
    """

    kind: ClassVar[str] = "slice"

    axes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        counts = {len(self.axes), len(self.starts), len(self.ends), len(self.steps)}
        if len(counts) > 1 or len(set(self.axes)) < len(self.axes) or 0 in self.steps:
            raise refuse(self, "needs a start, an end and a non-zero step for each axis once", x)
        shape = list(x.shape)
        for position, axis in enumerate(self.axes):
            check_axis(self, axis, x.rank, x)
            shape[axis] = len(self.range(position, x.shape[axis]))
        return (TensorType(tuple(shape), x.dtype),)

    def range(self, position: int, extent: int) -> range:
        """The positions taken along `axes[position]` of an `extent`."""
        cut = slice(self.starts[position], self.ends[position], self.steps[position])
        return range(*cut.indices(extent))

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        for position, axis in enumerate(self.axes):
            taken = self.range(position, x.shape[axis])
            turned = taken[::-1] if taken.step < 0 else taken
            stop = turned[-1] + 1 if len(turned) else 0
            start = turned[0] if len(turned) else 0
            before = (slice(None),) * axis
            x = x[(*before, slice(start, stop, turned.step if len(turned) else 1))]
            x = x.flip(axis) if taken.step < 0 else x
        return x


@dataclass(frozen=True)
class Pad(Op):
    """x with (before, after) more elements on each axis.

    Modes: `constant` takes `value`, `edge` repeats the border, `reflect` mirrors without the
    border element, `wrap` continues at the other side.
    """

    kind: ClassVar[str] = "pad"

    pads: Pads = ()
    mode: str = "constant"
    value: float = 0.0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        pick(self, "modes", self.mode, PAD_MODES)
        if len(self.pads) != x.rank or any(min(pad) < 0 for pad in self.pads):
            raise refuse(self, f"needs two pads of at least 0 for each axis, not {self.pads}", x)
        for extent, pad in zip(x.shape, self.pads, strict=True):
            least = {"reflect": 2, "edge": 1, "wrap": 1}.get(self.mode, 0)
            if sum(pad) and extent < least:
                raise refuse(self, f"{self.mode} needs an extent of {least} on a padded axis", x)
        grown = (e + sum(pad) for e, pad in zip(x.shape, self.pads, strict=True))
        return (TensorType(tuple(grown), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        if self.mode == "constant":
            value = self.value if x.is_floating_point() else int(self.value)
            flat = [side for pad in reversed(self.pads) for side in pad]
            return torch.nn.functional.pad(x, flat, value=value) if any(flat) else x
        for axis, (before, after) in enumerate(self.pads):
            if before or after:
                where = self._source(torch.arange(-before, x.shape[axis] + after), x.shape[axis])
                x = x.index_select(axis, where)
        return x

    def _source(self, position: "Tensor", extent: int) -> "Tensor":
        """The element of an axis of `extent` that each (out of bounds) `position` repeats."""
        if self.mode == "edge":
            return position.clamp(0, extent - 1)
        if self.mode == "wrap":
            return position.remainder(extent)
        folded = position.remainder(2 * (extent - 1))
        return folded.minimum(2 * (extent - 1) - folded)


@dataclass(frozen=True)
class Tile(Op):
    """x repeated `repeats[i]` times along each axis i."""

    kind: ClassVar[str] = "tile"

    repeats: tuple[int, ...] = ()

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if len(self.repeats) != x.rank or min(self.repeats, default=0) < 0:
            raise refuse(self, f"needs one repeat of at least 0 for each axis: {self.repeats}", x)
        grown = (e * times for e, times in zip(x.shape, self.repeats, strict=True))
        return (TensorType(tuple(grown), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        return given(inputs, 0).tile(self.repeats)
