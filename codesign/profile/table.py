"""The profile of a target on a device: a fit for each kernel, kept in a JSON file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.errors import StoreError
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.target import Target
from codesign.mapping.version import kernel_version
from codesign.profile.features import NAMES, features
from codesign.profile.judgement import ALL, Judgement, judgement, label_of
from codesign.profile.process import Process
from codesign.runtime.folder import write_file

FORMAT = 3
LARGEST = 3.0  # of a correction, as a logarithm


class OutdatedProfileError(StoreError):
    """A profile that an earlier or later codesign made."""


@dataclass(frozen=True)
class Fit:
    """How the measured times of one kernel depart from its model: log(measured / modelled).

    `widening` multiplies the process's own deviation so that two thirds of held-out points lie
    within it.
    """

    version: str
    process: Process
    widening: float = 1.0

    @cached_property
    def _range(self) -> tuple[Any, Any]:
        return self.process.x.min(axis=0), self.process.x.max(axis=0)

    def factor(self, group: Group, point: Point, cost: LayerCost) -> tuple[float, float]:
        """What the modelled latency is to be multiplied with, and its relative error (1 sd).

        Beyond what was measured the correction stays what it is at the edge.
        """
        x = features(group, cost, point)
        mean, spread = self.process.predict(np.clip(x, *self._range))
        far = float(np.abs(x - np.clip(x, *self._range)).max())
        wide = spread * self.widening * (1 + far)
        return exp(max(-LARGEST, min(LARGEST, mean))), exp(min(LARGEST, wide)) - 1


@dataclass(frozen=True)
class Profile:
    """The fits of a target's kernels by name that are good enough, and what else was learnt.

    `quality` is a row for each op and encoding: points, errors held out, before and after the fit;
    `kernels` has all kernels that were measured. `model_errors` are the relative standard errors of
    the models alone by op and encoding, and of `all`: for kernels that were not measured.
    """

    target: str
    device: Mapping[str, Any]
    fits: Mapping[str, Fit]
    quality: tuple[Mapping[str, Any], ...] = ()
    kernels: tuple[Judgement, ...] = ()
    model_errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """How many measurements it is made of."""
        return sum(known.points for known in self.kernels)

    @cached_property
    def _judged(self) -> Mapping[str, Judgement]:
        return {known.kernel: known for known in self.kernels}

    def model_error(self, kernel: str, group: Group) -> float | None:
        """The relative standard error of the model of `kernel` alone.

        As its own points say, else those of the same op and encoding on other kernels, else all.
        """
        known = self._judged.get(kernel)
        if known is not None and known.model_error is not None:
            return known.model_error
        return self.model_errors.get(label_of(group), self.model_errors.get(ALL))

    def corrected(self, kernel: str, group: Group, point: Point, cost: LayerCost) -> LayerCost:
        """`cost` of `group` on `kernel` with `point` as this device was seen to take.

        The model stays, with its own error, where no fit is used or where that is less sure.
        """
        if cost.latency_ms <= 0:
            return cost
        fit, model = self.fits.get(kernel), self.model_error(kernel, group)
        factor, error = fit.factor(group, point, cost) if fit else (1.0, None)
        if error is None or (model is not None and error > model):
            return replace(cost, error=model)
        return replace(
            cost,
            latency_ms=cost.latency_ms * factor,
            cycles=cost.cycles * factor,
            utilization=cost.utilization / factor,
            origin="profile",
            error=error,
        )

    def current(self, target: Target) -> "Profile":
        """This profile without the fits of kernels whose code has changed since."""
        versions = {name: kernel_version(k) for name, k in target.by_name.items()}
        kept = {n: f for n, f in self.fits.items() if versions.get(n) == f.version}
        known = tuple(k for k in self.kernels if versions.get(k.kernel) == k.version)
        return replace(self, fits=kept, kernels=known)

    def save(self, path: Path) -> None:
        """Write the file `path`, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.json(), indent=1).encode()

        def fill(stream: BinaryIO) -> None:
            stream.write(text)

        write_file(path, fill)

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        fits = {
            name: {
                "version": fit.version,
                "widening": fit.widening,
                "theta": fit.process.theta.tolist(),
                "x": fit.process.x.tolist(),
                "y": fit.process.y.tolist(),
            }
            for name, fit in self.fits.items()
        }
        return {
            "format": FORMAT,
            "target": self.target,
            "device": dict(self.device),
            "features": list(NAMES),
            "quality": [dict(row) for row in self.quality],
            "kernels": [known.json() for known in self.kernels],
            "model_errors": dict(self.model_errors),
            "fits": fits,
        }


def load_profile(path: Path) -> Profile:
    """The profile in `path`; StoreError if it is none, an OutdatedProfileError by its format."""
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT or tuple(found["features"]) != NAMES:
            raise OutdatedProfileError(
                f"{path} is a profile of another codesign (format {found['format']}, this one "
                f"reads {FORMAT}); run `codesign profile` again"
            )
        fits = {name: _fit(value) for name, value in found["fits"].items()}
        kernels = tuple(judgement(value) for value in found["kernels"])
        errors = {str(label): float(error) for label, error in found["model_errors"].items()}
        quality = tuple(found["quality"])
        return Profile(found["target"], found["device"], fits, quality, kernels, errors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is no profile ({type(error).__name__}: {error}); `codesign profile` makes one"
        ) from None


def _fit(value: Mapping[str, Any]) -> Fit:
    x, y, theta = (np.array(value[key], np.float64) for key in ("x", "y", "theta"))
    if x.shape != (len(y), len(NAMES)) or theta.shape != (len(NAMES) + 3,) or len(y) < 2:
        raise ValueError(f"a fit of shapes {x.shape}, {y.shape}, {theta.shape}")
    if not all(np.isfinite(part).all() for part in (x, y, theta)):
        raise ValueError("a fit that is not finite")
    return Fit(str(value["version"]), Process(x, y, theta), float(value["widening"]))


def profile_path(folder: Path, target: str, device: Mapping[str, Any]) -> Path:
    """Where the profile of a target on a device is, in the folder of the tuning database."""
    told = json.dumps([target, dict(sorted(device.items()))])
    return folder / "profiles" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
