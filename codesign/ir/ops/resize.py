"""Resampling to another size, with the coordinate rules of ONNX Resize."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def source(mode: str, size: int, extent: int, scale: float) -> np.ndarray:
    """Where each of `size` results lies on an axis of `extent` elements (ONNX Resize)."""
    i = np.arange(size, dtype=np.float64)
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return i * (extent - 1) / (size - 1) if size > 1 else np.zeros(size)
    if mode == "pytorch_half_pixel" and size == 1:
        return np.zeros(size)
    x = (i + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        exact = scale * extent
        x = x + extent / 2 * (1 - size / exact)
    return x


def nearest(x: np.ndarray, rounding: str, extent: int) -> np.ndarray:
    """The element that each coordinate takes."""
    # Coordinates are exact multiples in theory; undo what floating point adds to them.
    x = np.round(x, 6)
    rounded: np.ndarray = {
        "round_prefer_floor": np.ceil(x - 0.5),
        "round_prefer_ceil": np.floor(x + 0.5),
        "floor": np.floor(x),
        "ceil": np.ceil(x),
    }[rounding]
    taken: np.ndarray = np.clip(rounded, 0, extent - 1).astype(np.int64)
    return taken


def _linear(distance: np.ndarray) -> np.ndarray:
    weight: np.ndarray = np.maximum(1 - np.abs(distance), 0)
    return weight


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys, Cubic convolution interpolation, 1981, equation 15."""
    d: np.ndarray = np.abs(distance)
    near: np.ndarray = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weight: np.ndarray = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return weight


@dataclass(frozen=True)
class Resize(Op):
    """x resampled to `shape`, axis by axis.

    `scales` are the ratios that coordinates are computed with (empty: shape / x.shape). `linear`
    and `cubic` interpolate between 2 and 4 neighbours, stretched by the scale when it shrinks and
    `antialias` is set. What lies beyond the border counts as the border element, or with
    `exclude_outside` not at all (torch's antialiasing does so).
    """

    kind: ClassVar[str] = "resize"

    shape: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        pick(self, "modes", self.mode, MODES)
        pick(self, "coordinates", self.coordinates, COORDINATES)
        pick(self, "roundings", self.rounding, ROUNDINGS)
        if len(self.shape) != x.rank or len(self.scales) not in (0, x.rank):
            raise refuse(self, f"needs a shape and scales for {x.rank} axes", x)
        if min(*self.shape, *x.shape, 1) < 1 or any(scale <= 0 for scale in self.scales):
            raise refuse(self, "needs positive sizes and scales", x)
        return (TensorType(self.shape, x.dtype),)

    def resampled(self, shape: tuple[int, ...]) -> list[int]:
        """The axes of x of `shape` that are not copied as they are."""
        scales = self.scales or (None,) * len(shape)
        return [
            i
            for i, scale in enumerate(scales)
            if self.shape[i] != shape[i] or scale not in (None, 1.0)
        ]

    def _scale(self, axis: int, extent: int) -> float:
        return self.scales[axis] if self.scales else self.shape[axis] / extent

    def positions(self, axis: int, extent: int) -> np.ndarray:
        """For mode nearest: the element that each result along `axis` copies."""
        x = source(self.coordinates, self.shape[axis], extent, self._scale(axis, extent))
        return nearest(x, self.rounding, extent)

    def weights(self, axis: int, extent: int) -> np.ndarray:
        """For the other modes: the matrix [shape[axis], extent] applied along `axis`."""
        scale = self._scale(axis, extent)
        x = source(self.coordinates, self.shape[axis], extent, scale)
        stretch = min(scale, 1.0) if self.antialias else 1.0
        reach = int(np.ceil((2 if self.mode == "cubic" else 1) / stretch)) + 1
        taps = np.floor(x)[:, None] + np.arange(-reach, reach + 1)
        distance = (x[:, None] - taps) * stretch
        weight = _cubic(distance, self.cubic) if self.mode == "cubic" else _linear(distance)
        if self.exclude_outside:
            weight = weight * ((taps >= 0) & (taps < extent))
        weight /= weight.sum(1, keepdims=True)
        matrix = np.zeros((self.shape[axis], extent))
        where = np.clip(taps, 0, extent - 1).astype(np.int64)
        np.add.at(matrix, (np.arange(self.shape[axis])[:, None], where), weight)
        return matrix

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        x = given(inputs, 0)
        dtype = x.dtype
        for i in self.resampled(tuple(x.shape)):
            if self.mode == "nearest":
                x = x.index_select(i, torch.from_numpy(self.positions(i, x.shape[i])))
                continue
            real = x if x.is_floating_point() else x.float()
            matrix = torch.from_numpy(self.weights(i, x.shape[i])).to(real.dtype)
            x = (real.movedim(i, -1) @ matrix.T).movedim(-1, i)
        return x.to(dtype)
