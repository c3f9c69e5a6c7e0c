"""How good a profile is: errors on points held out, by op and form of the operands."""

from collections.abc import Sequence
from math import exp
from typing import Any, Protocol

import numpy as np

from codesign.profiling.samples import Seen

DENSE = ("conv f32", "linear f32", "matmul f32")


class Point(Protocol):
    """A measured point."""

    @property
    def sample(self) -> Seen:
        """What was measured."""

    @property
    def departure(self) -> float:
        """log(measured / modelled)."""


Said = Sequence[tuple[Point, float]]


def quality(said: Said, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each op and form: points, and relative errors held out, medians and tails.

    `said` are held-out points with log(predicted / measured), `labels` those of all points. The
    last rows sum up: products in float32 without zeros, all other layers, all.
    """
    rows = [_row(label, {label}, labels, said) for label in sorted(set(labels))]
    dense = set(DENSE)
    return [
        *rows,
        _row("dense f32", dense, labels, said),
        _row("the rest", set(labels) - dense, labels, said),
        _row("all", set(labels), labels, said),
    ]


def _row(name: str, wanted: set[str], labels: Sequence[str], said: Said) -> dict[str, Any]:
    chosen = [(p, off) for p, off in said if p.sample.label in wanted]
    before = [abs(exp(-p.departure) - 1) for p, _ in chosen]
    after = [abs(exp(off) - 1) for _, off in chosen]
    return {
        "op": name,
        "points": sum(label in wanted for label in labels),
        "held_out": len(chosen),
        "model_error": float(np.median(before)) if before else None,
        "error": float(np.median(after)) if after else None,
        "error_p90": float(np.percentile(after, 90)) if after else None,
    }
