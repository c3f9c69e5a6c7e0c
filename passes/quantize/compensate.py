"""Rounding weights with regard to what they are multiplied by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

SWEEPS = 4  # over all elements of a weight, each rounded anew beside the others
DAMPING = 0.1  # of the mean square: what was not seen in few samples is not taken for nothing
BLOCK = 64  # elements that are rounded before the others hear of it
Rounded = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Moments:
    """Of the windows x of K elements that weights multiply.

    `means` [groups, K] by layer, `squares` [groups, K, K] by weight: the sum of
    (x - mean) (x - mean)^T, each layer that shares the weight with its own mean, and of x x^T for
    layers that have no bias to take up what happens to the mean.
    """

    means: Mapping[str, np.ndarray] = field(default_factory=dict)
    squares: Mapping[str, np.ndarray] = field(default_factory=dict)


def compensated(
    array: np.ndarray, squares: np.ndarray, scale: np.ndarray, low: int, high: int
) -> np.ndarray:
    """`array` [M, ...] on the grid of `scale` [M] with codes `low` to `high`.

    Element by element, what rounding one takes from the layer's result is put into those that are
    not yet rounded (Frantar et al., GPTQ, ICLR 2023, algorithm 1). Then each is rounded anew, as is
    best beside all others (Behdin et al., QuantEase, 2023). Both are with respect to the sums of
    `squares` [groups, K, K] of what is multiplied, and 10 % damping, as samples are few.
    """
    groups, depth = squares.shape[:2]
    exact = array.reshape(groups, -1, depth).astype(np.float64).transpose(0, 2, 1).copy()
    steps = np.broadcast_to(scale.astype(np.float64), (array.shape[0],)).reshape(groups, -1)
    dense = _damped(squares)

    def rounded(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.clip(np.rint(values / steps), low, high) * steps
        return found

    done = _in_turn(exact, _upper(dense), rounded)
    _descend(exact - done, done, dense, rounded)
    result: np.ndarray = done.transpose(0, 2, 1).reshape(array.shape).astype(array.dtype)
    return result


def _in_turn(exact: np.ndarray, upper: np.ndarray, rounded: Rounded) -> np.ndarray:
    """`exact` [groups, K, M] rounded from the first element on, each making up for those before.

    What a block of elements hands to all behind it is one product of matrices.
    """
    left, done = exact.copy(), np.empty_like(exact)
    for start, stop in _blocks(exact.shape[1]):
        errors = np.empty_like(exact[:, start:stop])
        for k in range(start, stop):
            done[:, k] = rounded(left[:, k])
            error = (left[:, k] - done[:, k]) / upper[:, k, k, None]
            left[:, k + 1 : stop] -= upper[:, k, k + 1 : stop, None] * error[:, None]
            errors[:, k - start] = error
        left[:, stop:] -= upper[:, start:stop, stop:].transpose(0, 2, 1) @ errors
    return done


def _descend(off: np.ndarray, done: np.ndarray, dense: np.ndarray, rounded: Rounded) -> None:
    """Round elements of `done`, which is `off` by so much, anew while that lessens the loss."""
    for _ in range(SWEEPS):
        changed = False
        for start, stop in _blocks(done.shape[1]):
            slope = dense[:, start:stop] @ off
            for k in range(start, stop):
                found = rounded(done[:, k] + slope[:, k - start] / dense[:, k, k, None])
                step = done[:, k] - found
                changed |= bool(step.any())
                off[:, k] += step
                done[:, k] = found
                slope += dense[:, start:stop, k, None] * step[:, None]
        if not changed:
            return


def _blocks(depth: int) -> list[tuple[int, int]]:
    return [(start, min(start + BLOCK, depth)) for start in range(0, depth, BLOCK)]


def _damped(squares: np.ndarray) -> np.ndarray:
    """`squares` with a part of their mean more on the diagonal."""
    dense = squares.astype(np.float64)
    damping = DAMPING * dense.diagonal(axis1=1, axis2=2).mean(axis=1) + 1e-9
    found: np.ndarray = dense + np.eye(dense.shape[1]) * damping[:, None, None]
    return found


def _upper(dense: np.ndarray) -> np.ndarray:
    """The upper Cholesky factor of the inverse of `dense`."""
    found: np.ndarray = np.linalg.cholesky(np.linalg.inv(dense)).transpose(0, 2, 1)
    return found
