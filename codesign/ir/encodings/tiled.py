"""Blocked layouts: some axes are cut into tiles that become the innermost axes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.encoding import Encoding, Parts, Role


@dataclass(frozen=True)
class Tiled(Encoding):
    """Axis `axis` is cut into tiles of `tile` elements; the tile is stored innermost.

    A tensor [N, C, H, W] in `tiled<1, 16>` is stored as [N, ceil(C/16), H, W, 16] (NCHW16c). The
    elements that pad the last tile are finite and mean nothing. With `packed`, codes of few bits
    share machine words, in the order that the target's kernels agree on.
    """

    kind: ClassVar[str] = "tiled"
    role: ClassVar[Role] = "layout"
    positional: ClassVar[int] = 2

    axis: int = 1
    tile: int = 16
    packed: bool = False

    def check(self, shape: tuple[int, ...]) -> None:
        """The axis must exist and the tile be positive."""
        if not 0 <= self.axis < len(shape):
            raise VerificationError(f"tiled axis {self.axis} is outside a tensor of shape {shape}")
        if self.tile < 1:
            raise VerificationError(f"tiled tile {self.tile} is not positive")

    def physical(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the stored array for a tensor of logical `shape`."""
        outer = -(-shape[self.axis] // self.tile)
        return (*shape[: self.axis], outer, *shape[self.axis + 1 :], self.tile)

    def bits(self, shape: tuple[int, ...], element_bits: int) -> int:
        """All elements, padding included."""
        return int(np.prod(self.physical(shape), dtype=np.int64)) * element_bits

    def encode(self, array: np.ndarray) -> Parts:
        """`values`: the tiled array, padding zero."""
        physical = self.physical(array.shape)
        short = physical[self.axis] * self.tile - array.shape[self.axis]
        pads = [(0, short if i == self.axis else 0) for i in range(array.ndim)]
        padded = np.pad(array, pads)
        cut = padded.reshape(
            *array.shape[: self.axis],
            physical[self.axis],
            self.tile,
            *array.shape[self.axis + 1 :],
        )
        return {"values": np.ascontiguousarray(np.moveaxis(cut, self.axis + 1, -1))}

    def decode(self, parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
        """The logical array without padding."""
        physical = self.physical(shape)
        whole = np.moveaxis(parts["values"].reshape(physical), -1, self.axis + 1)
        padded = physical[self.axis] * self.tile
        merged = whole.reshape(*shape[: self.axis], padded, *shape[self.axis + 1 :])
        return np.take(merged, range(shape[self.axis]), axis=self.axis)
