"""The profile of a target on a device: a fit for each kernel, kept in a JSON file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from codesign.profile.process import Process
from codesign.runtime.folder import write_file

FORMAT = 2
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
    """The fits of a target's kernels by name, where and when they were made, and how good they are.

    `quality` is a row for each op and encoding: points, errors held out, before and after the fit.
    """

    target: str
    device: Mapping[str, Any]
    fits: Mapping[str, Fit]
    quality: tuple[Mapping[str, Any], ...] = ()

    @property
    def points(self) -> int:
        """How many measurements the fits are made of."""
        return sum(len(fit.process.y) for fit in self.fits.values())

    def corrected(self, kernel: str, group: Group, point: Point, cost: LayerCost) -> LayerCost:
        """`cost` of `group` on `kernel` with `point` as this device was seen to take."""
        fit = self.fits.get(kernel)
        if fit is None or cost.latency_ms <= 0:
            return cost
        factor, error = fit.factor(group, point, cost)
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
        return replace(self, fits=kept)

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
        return Profile(found["target"], found["device"], fits, tuple(found["quality"]))
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
