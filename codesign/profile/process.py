"""Gaussian-process regression (Rasmussen and Williams, 2006, chapters 2 and 5), exact and small."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]
PULL = 0.5  # strength of the log-normal prior on every hyperparameter: few points, many of them
LEAST_NOISE = 1e-3
STEPS = 60  # of the search for hyperparameters


@dataclass(frozen=True)
class Process:
    """A fitted process: points x [N, D], their values y [N] and log hyperparameters [D + 3].

    The covariance is a linear term, a squared exponential with a length for every feature, and
    noise; features and values are standardized before.
    """

    x: Array
    y: Array
    theta: Array

    @staticmethod
    def fit(x: Array, y: Array) -> "Process":
        """The most likely process for N >= 2 points, under a prior that keeps lengths long."""
        start = np.concatenate([np.full(x.shape[1], np.log(3.0)), np.log([0.5, 0.7, 0.2])])
        process = Process(x, y, start)
        z, values = process._scaled(x), process._values

        def cost(theta: Array) -> tuple[float, Array]:
            value, slope = _unlikelihood(z, values, theta)
            pull = PULL * float(np.square(theta - start).sum())
            return pull + value, slope + 2 * PULL * (theta - start)

        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
        return Process(x, y, np.asarray(found.x))

    def predict(self, x: Array) -> tuple[float, float]:
        """Mean and standard deviation of the value at one point x [D], noise included."""
        near = _covariance(self._scaled(x[None]), self._z, self.theta)[0]
        spread = float(np.hypot(self.doubt(x), np.sqrt(_noise(self.theta)) * self._spread))
        return float(near @ self._weights) * self._spread + self._centre, spread

    def doubt(self, x: Array) -> float:
        """The part of the deviation at x [D] that more points near it would take away."""
        z = self._scaled(x[None])
        near = _covariance(z, self._z, self.theta)[0]
        own = float(_covariance(z, z, self.theta)[0, 0])
        left = own - float(near @ cho_solve(self._factor, near))
        return float(np.sqrt(max(left, 0.0))) * self._spread

    @cached_property
    def left_out(self) -> Array:
        """How far each value lies from what the others say of it [N] (eq. 5.12)."""
        inverse = np.diag(cho_solve(self._factor, np.eye(len(self.y))))
        found: Array = self._weights / inverse * self._spread
        return found

    @cached_property
    def _centre(self) -> float:
        return float(np.median(self.y))

    @cached_property
    def _spread(self) -> float:
        return max(float(np.std(self.y)), 1e-6)

    @property
    def _values(self) -> Array:
        return (self.y - self._centre) / self._spread

    @cached_property
    def _range(self) -> tuple[Array, Array]:
        spread = self.x.std(axis=0)
        return self.x.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)

    def _scaled(self, x: Array) -> Array:
        middle, spread = self._range
        scaled: Array = (x - middle) / spread
        return scaled

    @cached_property
    def _z(self) -> Array:
        return self._scaled(self.x)

    @cached_property
    def _factor(self) -> Any:
        k = _covariance(self._z, self._z, self.theta)
        return cho_factor(k + _noise(self.theta) * np.eye(len(k)), lower=True)

    @cached_property
    def _weights(self) -> Array:
        found: Array = cho_solve(self._factor, self._values)
        return found


def _covariance(a: Array, b: Array, theta: Array) -> Array:
    lengths, (linear, smooth) = np.exp(theta[:-3]), np.exp(theta[-3:-1])
    u, v = a / lengths, b / lengths
    distance = np.square(u).sum(1)[:, None] + np.square(v).sum(1)[None] - 2 * u @ v.T
    found: Array = linear**2 * (u @ v.T) + smooth**2 * np.exp(-0.5 * np.maximum(distance, 0.0))
    return found


def _noise(theta: Array) -> float:
    return float(np.exp(2 * theta[-1])) + LEAST_NOISE


def _unlikelihood(z: Array, values: Array, theta: Array) -> tuple[float, Array]:
    """Minus the log marginal likelihood (eq. 2.30, constants left out), its gradient (eq. 5.9)."""
    covariance = _covariance(z, z, theta)
    try:
        factor = cho_factor(covariance + _noise(theta) * np.eye(len(z)), lower=True)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    weights = cho_solve(factor, values)
    value = 0.5 * float(values @ weights) + float(np.log(np.diag(factor[0])).sum())
    pull = 0.5 * (cho_solve(factor, np.eye(len(z))) - np.outer(weights, weights))
    return value, _slope(z / np.exp(theta[:-3]), covariance, pull, theta)


def _slope(u: Array, covariance: Array, pull: Array, theta: Array) -> Array:
    """The derivative of sum(pull * K) by theta, where u = z / lengths and K is with noise."""
    straight = float(np.exp(2 * theta[-3])) * (u @ u.T)
    smooth = pull * (covariance - straight)
    bent = 2 * (smooth.sum(1) @ np.square(u)) - 2 * (u * (smooth @ u)).sum(0)
    tilt = -2 * float(np.exp(2 * theta[-3])) * (u * (pull @ u)).sum(0)
    scales = 2 * float((pull * straight).sum()), 2 * float(smooth.sum())
    noise = 2 * float(np.exp(2 * theta[-1])) * float(np.trace(pull))
    return np.concatenate([bent + tilt, scales, [noise]])
