"""Activations of one to three bits in memory: a plane for each bit, 64 channels a word.

The layout of a value [N, C, spatial...] is [N, planes, spatial..., C' / 8] bytes, C' being C
rounded up to 64: bit c % 8 of byte c / 8 is that of channel c. Bits of channels that are only
padding are 0, so that whole words may be counted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.targets.tvm.kernels.int8_layout import Image
from codesign.targets.tvm.tir import Expr, Function

WORD = 64
MOST_PLANES = 3
Bytes = npt.NDArray[np.uint8]


def channels(c: int) -> int:
    """Physical channels of `c` logical ones."""
    return -(-c // WORD) * WORD


def activation(n: int, planes: int, c: int, spatial: tuple[int, ...]) -> tuple[int, ...]:
    """Physical shape of a tensor of `c` channels."""
    return (n, planes, *spatial, channels(c) // 8)


def pack(codes: npt.NDArray[np.integer], planes: int) -> Bytes:
    """uint8 [planes, ..., C' / 8] of integers [..., C], two's complement if they are signed."""
    width = channels(codes.shape[-1])
    padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, width - codes.shape[-1])])
    each = [padded >> plane & 1 for plane in range(planes)]
    return np.packbits(np.stack(each).astype(np.uint8), axis=-1, bitorder="little")


@dataclass(frozen=True)
class Bits(Image):
    """A packed buffer as `planes` images for each image of the batch, one after the other."""

    planes: int = 1

    def at(self, n: Expr, y: Expr, x: Expr, c: Expr) -> tuple[Expr, ...]:
        """The index of byte `c` of a pixel of image `n // planes`, plane `n % planes`."""
        image, plane = (n, 0) if self.planes == 1 else (n // self.planes, n % self.planes)
        return {5: (image, plane, y, x, c), 4: (image, plane, x, c), 3: (x, plane, c)}[
            len(self.shape)
        ]


def argument(f: Function, name: str, shape: tuple[int, ...], planes: int) -> Bits:
    """Declare a packed parameter of physical `shape`."""
    return Bits(f.argument(name, shape, "uint8"), shape, "uint8", planes=planes)
