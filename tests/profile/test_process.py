"""Gaussian-process regression against functions that are known, and against the textbook form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.profile.process import Process, _covariance, _noise, _unlikelihood


def smooth(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sin(x[:, 0]) + 0.3 * x[:, 1]
    return result


@pytest.fixture(scope="module")
def process() -> Process:
    x = np.random.default_rng(0).uniform(-3, 3, (60, 3))
    return Process.fit(x, smooth(x))


def test_a_smooth_function_is_found_and_what_does_not_matter_ignored(process: Process) -> None:
    x = np.random.default_rng(1).uniform(-2.5, 2.5, (50, 3))
    off = [process.predict(point)[0] - want for point, want in zip(x, smooth(x), strict=True)]
    assert np.sqrt(np.mean(np.square(off))) < 0.05
    assert process.theta[2] > process.theta[0], "the third feature has the longest length"


def test_doubt_grows_away_from_points(process: Process) -> None:
    near, far = process.doubt(process.x[0]), process.doubt(np.array([9.0, 9.0, 9.0]))
    assert near < 0.1 * far
    assert process.predict(process.x[0])[1] >= near


def test_prediction_is_the_textbook_formula(process: Process) -> None:
    """Rasmussen and Williams, eq. 2.25 and 2.26, by a plain inverse."""
    z = (process.x - process.x.mean(0)) / process.x.std(0)
    values = (process.y - np.median(process.y)) / process.y.std()
    inverse = np.linalg.inv(
        _covariance(z, z, process.theta) + _noise(process.theta) * np.eye(len(z))
    )
    point = np.array([0.3, -1.0, 0.5])
    at = ((point - process.x.mean(0)) / process.x.std(0))[None]
    near = _covariance(at, z, process.theta)[0]
    mean, spread = process.predict(point)
    assert mean == pytest.approx(
        near @ inverse @ values * process.y.std() + np.median(process.y), rel=1e-6
    )
    variance = _covariance(at, at, process.theta)[0, 0] + _noise(process.theta)
    want = np.sqrt(variance - near @ inverse @ near) * process.y.std()
    assert spread == pytest.approx(want, rel=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 8), st.integers(1, 3), st.booleans())
def test_few_or_equal_points_are_no_trouble(count: int, width: int, equal: bool) -> None:
    x = np.ones((count, width)) if equal else np.random.default_rng(2).normal(size=(count, width))
    process = Process.fit(x, np.full(count, 0.7))
    mean, spread = process.predict(x[0])
    assert mean == pytest.approx(0.7, abs=1e-3) and np.isfinite(spread)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_the_slope_of_the_likelihood_is_that_of_differences(seed: int) -> None:
    random = np.random.default_rng(seed)
    z, theta = random.normal(size=(12, 3)), random.normal(size=6) * 0.4
    values = smooth(z) + 0.1 * random.normal(size=12)
    _, slope = _unlikelihood(z, values, theta)
    steps = 1e-5 * np.eye(6)
    want = [
        (_unlikelihood(z, values, theta + s)[0] - _unlikelihood(z, values, theta - s)[0]) / 2e-5
        for s in steps
    ]
    np.testing.assert_allclose(slope, want, rtol=1e-4, atol=1e-5)


def test_left_out_is_the_error_of_a_process_without_the_point(process: Process) -> None:
    """With the hyperparameters and scales kept, against solving without that point."""
    z = (process.x - process.x.mean(0)) / process.x.std(0)
    values = (process.y - np.median(process.y)) / process.y.std()
    rest = np.arange(1, len(z))
    k = _covariance(z, z, process.theta) + _noise(process.theta) * np.eye(len(z))
    said = k[0, rest] @ np.linalg.solve(k[np.ix_(rest, rest)], values[rest])
    assert process.left_out[0] == pytest.approx((values[0] - said) * process.y.std(), abs=1e-6)
