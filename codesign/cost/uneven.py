"""How long elements take together that each skip the zeros of their own operands.

Between two times that they wait for each other, each of E elements has n multiplications to do, of
which a share p is not skipped, each independently: a binomial number. The slowest sets the pace, so
what is expected of n is E[max of E binomials(n, p)]. That is summed from their distribution
function, but for such a spread that they are as good as normal numbers.
"""

from functools import lru_cache

import numpy as np

from codesign.cost.candidates import Amounts, Numbers

EXACT = 1 << 14  # variance n p (1 - p) above which a binomial's spread is a normal one's


def slowest(work: Numbers, elements: Numbers, useful: float) -> Amounts:
    """Expected multiplications of the slowest of `elements` that have `work` each, as arrays."""
    if useful == 1.0:
        return work.astype(float)
    pairs, where = np.unique(np.stack([work, elements]), axis=1, return_inverse=True)
    found = [_slowest(int(n), int(e), useful) for n, e in pairs.T]
    return np.array(found)[where.reshape(-1)]


@lru_cache(maxsize=1 << 16)
def _slowest(work: int, elements: int, useful: float) -> float:
    from scipy.special import bdtr, ndtri

    if elements == 1:
        return work * useful
    mean, variance = work * useful, work * useful * (1 - useful)
    spread = variance**0.5
    if variance > EXACT:  # expected maximum of normals by Blom, Statistical Estimates, 1958
        high = ndtri((elements - 0.375) / (elements + 0.25))
        return float(min(work, mean + high * spread))
    least = max(0, int(mean - 10 * spread - 100))  # no maximum is less, nor is one more than `most`
    most = min(work, int(mean + 10 * spread + 100))
    below = bdtr(np.arange(least, most), work, useful)
    return float(least + (1 - below**elements).sum())
