"""From measured points to a profile: a fit for each kernel, judged on points held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np

from codesign.mapping.target import Target
from codesign.mapping.version import kernel_version
from codesign.profile.judgement import ALL, ENOUGH, Judgement
from codesign.profile.process import Array, Process
from codesign.profile.table import LARGEST, Fit, Profile
from codesign.profiling.quality import quality
from codesign.profiling.samples import Seen
from codesign.progress import Progress, silent

LEAST = 6  # points of a kernel below which there is no fit
TELLING = 3  # points that say how far a model is off, or a fit
COVERED = 68.0  # per cent of held-out points that are to lie within the error bar


@dataclass(frozen=True)
class Measured:
    """A sample and the seconds it took."""

    sample: Seen
    seconds: float

    @property
    def departure(self) -> float:
        """log(measured / modelled)."""
        return log(self.seconds * 1e3 / self.sample.model_ms)


@dataclass(frozen=True)
class Told:
    """What the points of one kernel say.

    `said` are held-out points with log(predicted / measured), predicted as estimates will be.
    """

    judgement: Judgement
    fit: Fit | None
    said: Sequence[tuple[Measured, float]]


def fitted(points: Sequence[Measured]) -> Process | None:
    """The process through `points`, None if they are too few."""
    return Process.fit(*_arrays(points)) if len(points) >= LEAST else None


def with_theta(points: Sequence[Measured], theta: Array) -> Process | None:
    """The process through `points` whose hyperparameters are known, None if they are too few."""
    return Process(*_arrays(points), theta) if len(points) >= LEAST else None


def _arrays(points: Sequence[Measured]) -> tuple[Array, Array]:
    x = np.array([p.sample.features for p in points])
    return x, np.array([p.departure for p in points])


def profile(
    points: Mapping[str, Sequence[Measured]],
    target: Target,
    device: Mapping[str, Any],
    before: Profile | None = None,
    report: Progress = silent,
) -> Profile:
    """The profile from the points of each kernel.

    Errors are those of fits that have not seen the points held out; what is stored is fitted to
    all points. A kernel that has as many points as in the profile `before` keeps what was found to
    be likely then.
    """
    told = {}
    for i, (name, found) in enumerate(points.items()):
        report(f"fitting {name}", i / len(points))
        told[name] = _told(name, found, kernel_version(target.by_name[name]), before)
    fits = {name: one.fit for name, one in told.items() if one.fit is not None}
    said = [pair for one in told.values() for pair in one.said]
    rows = quality(said, [p.sample.label for found in points.values() for p in found])
    kernels = tuple(sorted((one.judgement for one in told.values()), key=lambda k: k.kernel))
    return Profile(target.spec, device, fits, tuple(rows), kernels, _model_errors(points))


def _told(name: str, found: Sequence[Measured], version: str, before: Profile | None) -> Told:
    """The fit of one kernel, and whether it is good enough."""
    seen = [p for p in found if not p.sample.held_out]
    rest = [p for p in found if p.sample.held_out]
    trial = _trial(name, seen, len(found), before)
    whole = with_theta(found, trial.theta) if trial else None
    error = _error(trial, whole, rest)
    judged = Judgement(name, version, len(found), len(seen), _model_error(found), error)
    used = trial if judged.used else None
    fit = Fit(version, whole, _widening(used, rest)) if whole and used else None
    said = [(p, _said(used, p)) for p in rest]
    return Told(judged, fit, said)


def _trial(
    name: str, seen: Sequence[Measured], points: int, before: Profile | None
) -> Process | None:
    """The fit that has not seen what is held out, None if that would be too few points."""
    if len(seen) < ENOUGH:
        return None
    fit = before.fits.get(name) if before else None
    if fit is not None and len(fit.process.y) == points:
        return with_theta(seen, fit.process.theta)
    return fitted(seen)


def _error(trial: Process | None, whole: Process | None, rest: Sequence[Measured]) -> float | None:
    """The median of relative errors on held-out points, or if few on each point left out."""
    if trial is None or whole is None:
        return None
    off = [_said(trial, p) for p in rest]
    if len(off) < TELLING:
        off = [-float(value) for value in whole.left_out]
    return float(np.median([abs(exp(min(value, LARGEST)) - 1) for value in off]))


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


def _model_error(points: Sequence[Measured]) -> float | None:
    """The relative standard error of the model alone, None if too few points tell."""
    if len(points) < TELLING:
        return None
    off = float(np.percentile([abs(p.departure) for p in points], COVERED))
    return exp(min(off, LARGEST)) - 1


def _model_errors(points: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    """The errors of models by op and encoding, and of all."""
    by_label: dict[str, list[Measured]] = {ALL: []}
    for found in points.values():
        for point in found:
            by_label.setdefault(point.sample.label, []).append(point)
            by_label[ALL].append(point)
    errors = {label: _model_error(found) for label, found in by_label.items()}
    return {label: error for label, error in errors.items() if error is not None}
