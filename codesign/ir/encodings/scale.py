"""Positive scales of element encodings: one for a tensor, or one a slice along an axis."""

import numpy as np

from codesign.errors import VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Shape


def one() -> Const:
    """The scale 1."""
    return Const(1.0, "float32")


def extent(kind: str, axis: int | None, shape: Shape) -> Shape:
    """Shape that per-slice constants have for a tensor of `shape`; VerificationError if none."""
    if axis is None:
        return ()
    if not 0 <= axis < len(shape):
        raise VerificationError(f"{kind} axis {axis} is outside a tensor of shape {shape}")
    return (shape[axis],)


def check_vector(
    kind: str, what: str, const: Const, axis: int | None, shape: Shape, dtype: str = "float32"
) -> None:
    """Raise unless `const` holds one `dtype` number, or one for each slice along `axis`."""
    want = extent(kind, axis, shape)
    if const.shape not in (want, ()) or const.array.dtype != np.dtype(dtype):
        raise VerificationError(
            f"{kind} {what} is {const.array.dtype}{list(const.shape)}, expected {dtype}"
            f"{list(want)} for axis {axis} of a tensor of shape {shape}"
        )


def check_scale(kind: str, scale: Const, axis: int | None, shape: Shape) -> None:
    """Raise unless `scale` is float32, finite and positive, and fits `axis` of `shape`."""
    check_vector(kind, "scale", scale, axis, shape)
    if not (np.isfinite(scale.array).all() and (scale.array > 0).all()):
        raise VerificationError(f"{kind} scales must be finite and positive")


def along(const: Const, axis: int | None, rank: int) -> np.ndarray:
    """`const` reshaped to broadcast against a tensor of `rank` axes."""
    if axis is None or const.array.ndim == 0:
        return const.array
    return const.array.reshape([-1 if i == axis else 1 for i in range(rank)])
