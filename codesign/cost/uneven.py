"""How long elements take together that each skip the zeros of their own operands.

Between two times that they wait for each other, each of E elements has n multiplications to do, of
which a share p is not skipped, each independently: a binomial number. The slowest sets the pace, so
what is expected of n is E[max of E binomials(n, p)], exactly by their distribution function.
"""

from functools import lru_cache

import numpy as np

from codesign.cost.candidates import Amounts, Numbers

EXACT = 1 << 14  # multiplications above which the spread of a binomial is a normal one's


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
    if work > EXACT:  # expected maximum of normals by Blom, Statistical Estimates, 1958
        high = ndtri((elements - 0.375) / (elements + 0.25))
        spread = (work * useful * (1 - useful)) ** 0.5
        return float(min(work, work * useful + high * spread))
    below = bdtr(np.arange(work), work, useful)
    return float((1 - below**elements).sum())
