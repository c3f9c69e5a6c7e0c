"""Sums of products of few bits as counts of bits, and what turns the counts into the sums.

An activation is x = factor * X + start, X an unsigned code of `planes` bits: factor 2 and start -1
for signs, factor 1 and start -zero for integers. For weights that are signs,

    sum X w = most * (K + W) / 2 - P,    P = sum over planes i of 2^i popcount(X_i xor w)

with most = 2^planes - 1, K the number of products and W the sum of the weights. For weights of more
bits, in two's complement, sum X w = P, the sum over planes i and j of 2^(i + j) popcount(X_i and
w_j), less where w_j is the sign. So S = sum x w = `slope` * P + centre by channel. Taps outside the
input read X = 0, which stands for `start` and not for nothing: what they add is taken off again
(`border`). Sources: Rastegari et al., XNOR-Net, 2016, section 3.2; Zhou et al., DoReFa-Net, 2016,
eq. 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.kernels import bits
from codesign.targets.tvm.kernels.int8_layout import Plane

Sums = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Factors:
    """How activations and weights are made of bits. With `signs` weights are +1 and -1."""

    planes: int
    factor: int
    start: int
    signs: bool
    weight_planes: int = 1

    @property
    def slope(self) -> int:
        """What one more in the count adds to the sum."""
        return -self.factor if self.signs else self.factor

    def pairs(self) -> list[list[tuple[int, int, bool]]]:
        """(plane of activations, of weights, whether it is subtracted) by their 2^s, high first."""
        last = self.weight_planes - 1
        found: dict[int, list[tuple[int, int, bool]]] = {}
        for i in range(self.planes):
            for j in range(self.weight_planes):
                found.setdefault(i + j, []).append((i, j, not self.signs and j == last))
        return [found[s] for s in sorted(found, reverse=True)]

    def words(self, weight: Sums) -> bits.Bytes:
        """uint8 [weight planes, O, bytes, taps...] of multiples [O, I, taps...]."""
        codes = (weight > 0).astype(np.int64) if self.signs else weight
        packed = bits.pack(np.moveaxis(codes, 1, -1), self.weight_planes)
        return np.moveaxis(packed, -1, 2)

    def centre(self, weight: Sums) -> Sums:
        """[O]: the sum of which no bit is counted."""
        rows = weight.reshape(len(weight), -1)
        total = rows.sum(axis=1)
        most = (1 << self.planes) - 1
        counted = most * (rows.shape[1] + total) // 2 if self.signs else np.zeros_like(total)
        found: Sums = self.factor * counted + self.start * total
        return found


@dataclass(frozen=True)
class Border:
    """What taps outside the input must not add: `table` [classes, O] by the pixel's two classes.

    The class of pixel (y, x) is rows[y] * columns + columns_of[x]; class 0 lies inside.
    """

    table: Sums
    rows: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]


def border(p: Plane, factors: Factors, weight: Sums) -> Border | None:
    """The border of plane `p` for multiples `weight` [O, I, taps...]; None if it adds nothing."""
    if not p.padded or factors.start == 0:
        return None
    taps = weight.sum(axis=1).reshape(len(weight), p.kh, p.kw)
    rows, row_masks = _classes(p.oh, p.sh, p.dh, p.kh, p.top, p.h)
    columns, column_masks = _classes(p.ow, p.sw, p.dw, p.kw, p.left, p.w)
    inside = row_masks[:, None, :, None] & column_masks[None, :, None, :]
    outside = np.einsum("rcyx,oyx->rco", ~inside, taps)
    table = -factors.start * outside.reshape(-1, len(weight))
    return Border(table, rows * len(column_masks), columns)


def _classes(
    out: int, stride: int, dilation: int, kernel: int, before: int, size: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The class of each output, and which taps of each class lie inside."""
    at = np.arange(out)[:, None] * stride + np.arange(kernel) * dilation - before
    masks, classes = np.unique((at >= 0) & (at < size), axis=0, return_inverse=True)
    return classes.reshape(-1).astype(np.int32), masks
