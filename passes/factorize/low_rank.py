"""Ranks: how many singular values stay."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spectrum:
    """Thin singular value decomposition of a matrix in float64: u [M, k], s [k], vt [k, N]."""

    u: np.ndarray
    s: np.ndarray
    vt: np.ndarray

    def energy(self, rank: int) -> float:
        """Share of the squared Frobenius norm that the first `rank` values hold."""
        total = float((self.s**2).sum())
        return float((self.s[:rank] ** 2).sum()) / total if total else 1.0

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """[M, rank] and [rank, N] whose product is nearest, the scale shared (Eckart-Young)."""
        root = np.sqrt(self.s[:rank])
        return self.u[:, :rank] * root, root[:, None] * self.vt[:rank]

    def rank_for(self, energy: float) -> int:
        """The least rank (at least 1) that holds `energy`."""
        return self.rank_within(lost_share(energy) * float((self.s**2).sum()))

    def rank_within(self, lost: float) -> int:
        """The least rank (at least 1) without which at most `lost` of the squared norm goes."""
        tails = np.cumsum(self.s[::-1] ** 2)[::-1]
        return max(1, int(np.count_nonzero(tails > lost)))


def lost_share(energy: float) -> float:
    """What may go of a squared norm so that `energy` of it stays, rounding left in hand.

    So a relative error of e, asked for as the energy 1 - e^2, is never exceeded.
    """
    return max(1 - energy - 2.0**-53, 0.0)


def spectrum(matrix: np.ndarray) -> Spectrum:
    """The decomposition of `matrix`."""
    u, s, vt = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    return Spectrum(u, s, vt)


def largest_rank(full: int, step: int, fits: Callable[[int], bool]) -> int | None:
    """The largest multiple of `step` below `full` that `fits`, by bisection; None if none does."""
    low, high = 0, (full - 1) // step
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * step):
            low = middle
        else:
            high = middle - 1
    return low * step or None
