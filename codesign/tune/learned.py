"""A model of run times, trained on what was measured: gradient-boosted trees (xgboost).

Chen and Guestrin, "XGBoost", KDD 2016; trained on log(seconds / operations) over all tasks at once,
as Chen et al. do for tensor programs ("Learning to Optimize Tensor Programs", NeurIPS 2018), so
that a new task starts from what others taught.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from math import log
from typing import Any

import numpy as np

from codesign.errors import TuningError, how_to_install
from codesign.tune.features import Features

LEAST_ROWS = 24
TREES = {"max_depth": 6, "eta": 0.2, "subsample": 0.8, "verbosity": 0, "nthread": 1}
ROUNDS = 60


def missing() -> str:
    """What to install for tuning, empty if it is there."""
    if find_spec("xgboost") is not None:
        return ""
    return f"tuning needs xgboost, which is not installed; {how_to_install('tune')}"


class Learned:
    """Predicts log(seconds / operations) of candidates from their features."""

    def __init__(self, seed: int = 0) -> None:
        try:
            import xgboost
        except ImportError:
            raise TuningError(missing()) from None
        self.xgboost: Any = xgboost
        self.seed = seed
        self.columns: dict[str, int] = {}
        self.booster: Any = None

    @property
    def ready(self) -> bool:
        """Whether it has seen enough to predict."""
        return self.booster is not None

    def train(
        self, rows: Sequence[Features], seconds: Sequence[float], work: Sequence[int]
    ) -> None:
        """Learn from measured `rows`; with too few nothing changes."""
        if len(rows) < LEAST_ROWS:
            return
        names = sorted({name for row in rows for name in row})
        self.columns = {name: i for i, name in enumerate(names)}
        target = [log(s / max(w, 1)) for s, w in zip(seconds, work, strict=True)]
        data = self.xgboost.DMatrix(self._matrix(rows), label=np.array(target))
        self.booster = self.xgboost.train({**TREES, "seed": self.seed}, data, ROUNDS)

    def predict(self, rows: Sequence[Features]) -> np.ndarray:
        """Predictions [rows]; only their order within a task matters."""
        found: np.ndarray = self.booster.predict(self.xgboost.DMatrix(self._matrix(rows)))
        return found

    def _matrix(self, rows: Sequence[Features]) -> np.ndarray:
        matrix = np.zeros((len(rows), len(self.columns)), np.float32)
        for i, row in enumerate(rows):
            for name, value in row.items():
                column = self.columns.get(name)
                if column is not None:
                    matrix[i, column] = value
        return matrix
