"""Which groups of weights go: the lowest scores, never more than was asked for."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor

import numpy as np


def keep(scores: Sequence[np.ndarray], share: float) -> list[np.ndarray]:
    """Masks of what stays when the lowest `share` (0 <= share < 1) of all `scores` goes.

    Exactly floor(share * count) are False, `share` taken as the decimal number that it prints as.
    Of equal scores the first of each array stay, as large a part of one array as of another.
    """
    if not scores:
        return []
    joined = np.concatenate([s.reshape(-1) for s in scores])
    room = joined.size - floor(Fraction(str(share)) * joined.size)
    limit = np.partition(joined, joined.size - room)[joined.size - room]
    mask: np.ndarray = joined > limit
    tied = np.flatnonzero(joined == limit)
    where = np.concatenate([np.arange(s.size) / s.size for s in scores])[tied]
    order = np.argsort(where, kind="stable")
    mask[tied[order[: room - np.count_nonzero(mask)]]] = True
    parts = np.split(mask, np.cumsum([s.size for s in scores])[:-1])
    return [part.reshape(s.shape) for part, s in zip(parts, scores, strict=True)]
