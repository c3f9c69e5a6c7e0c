"""Choices of a programme that differ little from one: what is near an optimum of inexact sums."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codesign.passes.quantize.programme import Goal, Programme

Picked = tuple[int, ...]


def promising(
    programme: Programme, picked: Picked, minimise: Goal, bound: float
) -> Iterator[Picked]:
    """One or two changes away from `picked`: less `minimise`, the other sum within `bound`.

    Those with the least `minimise` come first.
    """
    other: Goal = "error" if minimise == "cost" else "cost"
    near = [picked, *_changed(programme, picked)]
    less = _changes(programme, near, minimise)
    more = _changes(programme, near, other) + programme.total(picked, other)
    total = less[:, None] + less
    good = (total < 0) & (more[:, None] + more - more[0] <= bound)
    rows, columns = np.nonzero(np.triu(good))
    for n in np.argsort(total[rows, columns], kind="stable"):
        made = _joined(picked, near[rows[n]], near[columns[n]])
        if made is not None:
            yield made


def _changes(programme: Programme, near: list[Picked], what: Goal) -> NDArray[np.float64]:
    """How much more of `what` each of `near` has than the first."""
    table = [[getattr(option, what) for option in item] for item in programme.items]
    first = near[0]
    return np.array(
        [
            sum(table[i][k] - table[i][first[i]] for i, k in enumerate(one) if k != first[i])
            for one in near
        ],
        np.float64,
    )


def _changed(programme: Programme, picked: Picked) -> Iterator[Picked]:
    """`picked` with another option of one item, and what items that are tied to it then need."""
    for i, item in enumerate(programme.items):
        for k in range(len(item)):
            made = _with(programme, picked, i, k) if k != picked[i] else None
            if made is not None:
                yield made


def _with(programme: Programme, picked: Picked, item: int, option: int) -> Picked | None:
    """`picked` with one option, those tied to it made to agree; None if they cannot."""
    made = list(picked)
    made[item] = option
    key = programme.items[item][option].key
    for tie in (one for one in programme.ties if item in one.items):
        for other in (i for i in tie.items if i != item):
            wanted = list(programme.items[other][made[other]].key)
            wanted[tie.part] = key[tie.part]
            keys = [one.key for one in programme.items[other]]
            if tuple(wanted) not in keys:
                return None
            made[other] = keys.index(tuple(wanted))
    return tuple(made) if _agree(programme, made) else None


def _agree(programme: Programme, picked: list[int]) -> bool:
    """Whether all ties hold."""
    keys = [item[k].key for item, k in zip(programme.items, picked, strict=True)]
    return all(len({keys[i][tie.part] for i in tie.items}) == 1 for tie in programme.ties)


def _joined(picked: Picked, one: Picked, other: Picked) -> Picked | None:
    """Both changes of `picked` at once; None if they touch the same item."""
    if any(a != p != b for p, a, b in zip(picked, one, other, strict=True)):
        return None
    return tuple(a if a != p else b for p, a, b in zip(picked, one, other, strict=True))
