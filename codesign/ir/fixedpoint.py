"""Real ratios as integer multipliers and shifts, so that requantization needs integers alone.

    y = (acc_0 * m_0 + acc_1 * m_1 + ... + 2^(shift - 1)) >> shift        (64-bit arithmetic)

is the sum of acc_i * ratio_i rounded to the nearest integer, half up. Source: Jacob et al.,
Quantization and training of neural networks for efficient integer-arithmetic-only inference,
2018, section 2.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.errors import VerificationError

LEAST_SHIFT, MOST_SHIFT = 1, 62
_LIMIT = 1 << 31  # multipliers stay below


@dataclass(frozen=True)
class FixedPoint:
    """`multipliers` (int32, in [0, 2^31)) of each term and the `shift` (int32, 1 to 62) they share.

    All are vectors over the channels, or scalars. Each multiplier is off by at most 1/2, so with
    A = sum |acc_i| the unrounded result is off by at most A * 2^-(shift + 1): for a single term of
    ratio at least 2^-32 no more than |y| * 2^-31 (a shift of at most 62 costs smaller ratios
    precision). Nothing overflows 64 bits while A <= 2^31.
    """

    multipliers: tuple[np.ndarray, ...]
    shift: np.ndarray

    def apply(self, *terms: np.ndarray) -> np.ndarray:
        """int64 y for integer `terms`, one a multiplier, channels last (or broadcastable)."""
        total = np.left_shift(np.int64(1), self.shift.astype(np.int64) - 1)
        for term, multiplier in zip(terms, self.multipliers, strict=True):
            total = total + term.astype(np.int64) * multiplier.astype(np.int64)
        y: np.ndarray = np.right_shift(total, self.shift.astype(np.int64))
        return y


def fixed_point(ratios: Sequence[npt.ArrayLike]) -> FixedPoint:
    """Multipliers for each of `ratios` (scalars or vectors over channels), one shift a channel.

    The shift is the largest at which the largest ratio of the channel still has a multiplier below
    2^31. A ratio of 0, or one up to 2^-63, gets multiplier 0. VerificationError for ratios that are
    negative, not finite, or 2^30 and above, and for shapes that do not broadcast.
    """
    try:
        terms = np.broadcast_arrays(*(np.asarray(ratio, np.float64) for ratio in ratios))
    except ValueError:
        raise VerificationError("ratios must be scalars or vectors of one length") from None
    if not terms or terms[0].ndim > 1:
        raise VerificationError("ratios must be one or more scalars or vectors over channels")
    top = np.max(terms, axis=0)
    worst = np.min(terms, axis=0)
    if not (np.isfinite(top).all() and (worst >= 0).all()):
        raise VerificationError("ratios must be finite and not negative")
    shift = _shift(top)
    if (shift < LEAST_SHIFT).any():
        raise VerificationError(
            f"ratio {top.max():g} is too large for a 31-bit multiplier and a shift of at least "
            f"{LEAST_SHIFT}; it must stay below 2^30, so rescale the output"
        )
    exact = (np.rint(np.ldexp(term, shift)) for term in terms)
    return FixedPoint(tuple(np.asarray(m, np.int32) for m in exact), shift)


def _shift(top: np.ndarray) -> np.ndarray:
    """The largest shift that keeps the multiplier of `top` below 2^31, at most 62."""
    shift = 31 - np.frexp(top)[1]
    shift = np.where(np.rint(np.ldexp(top, shift)) >= _LIMIT, shift - 1, shift)
    return np.minimum(np.where(top > 0, shift, LEAST_SHIFT), MOST_SHIFT).astype(np.int32)
