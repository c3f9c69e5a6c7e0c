"""Points that earlier runs measured, taken from the store as the fit saw them, nothing built."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np

from codesign.profile.features import NAMES
from codesign.profile.process import Array
from codesign.profile.table import FORMAT
from codesign.profiling.samples import Sample
from codesign.tune.journal import Journal

KIND = [FORMAT, list(NAMES)]  # of what is told; that of another codesign is left aside


@dataclass(frozen=True)
class Known:
    """What is left of a sample once it was measured; `network` is the number it was drawn with."""

    label: str
    held_out: bool
    model_ms: float
    features: Array
    seed: int
    network: int


@dataclass(frozen=True)
class Recalled:
    """A point that was measured: its task (key), kernel and seconds, infinite if it failed."""

    task: str
    kernel: str
    known: Known
    seconds: float


def remember(journal: Journal, sample: Sample, seed: int) -> None:
    """Keep what the fit sees of `sample`, so that `recalled` finds it when it has a trial."""
    told = {
        "kind": KIND,
        "label": sample.label,
        "held_out": sample.held_out,
        "model_ms": sample.model_ms,
        "features": sample.features.tolist(),
        "seed": seed,
        "network": sample.network,
    }
    journal.keep_sight(sample.task, (sample.kernel, sample.point), json.dumps(told))


def recalled(journal: Journal) -> Iterator[Recalled]:
    """All points measured with the kernels of today, in the order of measuring."""
    for sight in journal.sights():
        known = _known(sight.told)
        if known is not None:
            yield Recalled(sight.task, sight.kernel, known, sight.seconds)


def _known(told: str) -> Known | None:
    """What `remember` told, None if that was another codesign or is damaged."""
    try:
        found = json.loads(told)
        if found.pop("kind") != KIND:
            return None
        known = Known(**{**found, "features": np.array(found["features"], np.float64)})
        whole = known.features.shape == (len(NAMES),) and np.isfinite(known.features).all()
        return known if whole and isfinite(known.model_ms) and known.model_ms > 0 else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
