"""From measured points to a profile: a fit for each kernel, judged on points held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np

from codesign.mapping.target import Target
from codesign.mapping.version import kernel_version
from codesign.profile.process import Array, Process
from codesign.profile.table import Fit, Profile
from codesign.profiling.samples import Sample

LEAST = 6  # points of a kernel below which its model stays as it is
DENSE = ("conv f32", "linear f32", "matmul f32")
COVERED = 68.0  # per cent of held-out points that are to lie within the error bar


@dataclass(frozen=True)
class Measured:
    """A sample and the seconds it took."""

    sample: Sample
    seconds: float

    @property
    def departure(self) -> float:
        """log(measured / modelled)."""
        return log(self.seconds * 1e3 / self.sample.cost.latency_ms)


def fitted(points: Sequence[Measured]) -> Process | None:
    """The process through `points`, None if they are too few."""
    return Process.fit(*_arrays(points)) if len(points) >= LEAST else None


def _arrays(points: Sequence[Measured]) -> tuple[Array, Array]:
    x = np.array([p.sample.features for p in points])
    return x, np.array([p.departure for p in points])


def profile(
    points: Mapping[str, Sequence[Measured]], target: Target, device: Mapping[str, Any]
) -> Profile:
    """The profile from the points of each kernel.

    Errors are those of fits that have not seen the points held out; what is stored is fitted to
    all points.
    """
    fits, judged = {}, []
    for name, found in points.items():
        seen = [p for p in found if not p.sample.held_out]
        rest = [p for p in found if p.sample.held_out]
        trial = fitted(seen)
        judged += [(p, _said(trial, p)) for p in rest]
        whole = Process(*_arrays(found), trial.theta) if trial else None
        if whole is not None and trial is not None:
            version = kernel_version(target.by_name[name])
            fits[name] = Fit(version, whole, _widening(trial, rest))
    return Profile(target.spec, device, fits, tuple(_quality(judged, points)))


def _said(process: Process | None, point: Measured) -> float:
    """The logarithm of predicted / measured."""
    if process is None:
        return -point.departure
    x = process.x
    clipped = np.clip(point.sample.features, x.min(axis=0), x.max(axis=0))
    return process.predict(clipped)[0] - point.departure


def _widening(process: Process, held: Sequence[Measured]) -> float:
    """How much wider error bars must be than the process says."""
    if len(held) < LEAST:
        return 1.0
    off = [abs(_said(process, p)) / process.predict(p.sample.features)[1] for p in held]
    return max(0.5, float(np.percentile(off, COVERED)))


def _quality(
    judged: Sequence[tuple[Measured, float]], points: Mapping[str, Sequence[Measured]]
) -> list[dict[str, Any]]:
    """A row for each op and form: points, and relative errors held out, medians and tails.

    The last ones sum up: products in float32 without zeros, all other layers, all.
    """
    labels = [p.sample.label for found in points.values() for p in found]
    rows = [_row(label, {label}, labels, judged) for label in sorted(set(labels))]
    dense = set(DENSE)
    return [
        *rows,
        _row("dense f32", dense, labels, judged),
        _row("the rest", set(labels) - dense, labels, judged),
        _row("all", set(labels), labels, judged),
    ]


def _row(
    name: str, wanted: set[str], labels: Sequence[str], judged: Sequence[tuple[Measured, float]]
) -> dict[str, Any]:
    chosen = [(p, said) for p, said in judged if p.sample.label in wanted]
    before = [abs(exp(-p.departure) - 1) for p, _ in chosen]
    after = [abs(exp(said) - 1) for _, said in chosen]
    return {
        "op": name,
        "points": sum(label in wanted for label in labels),
        "held_out": len(chosen),
        "model_error": float(np.median(before)) if before else None,
        "error": float(np.median(after)) if after else None,
        "error_p90": float(np.percentile(after, 90)) if after else None,
    }
