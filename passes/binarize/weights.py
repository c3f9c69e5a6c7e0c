"""Weights of one to three bits: encodings with a scale for each output channel, or with 1."""

from typing import Literal

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary

Weights = Literal["binary", "ternary", 2, 3]
SHARE = 0.7  # of the mean magnitude, above which a ternary weight is not zero
LEAST = 2.0**-24  # of a weight's largest scale: what smaller channels hold is nothing
STEPS = np.linspace(0.2, 1.0, 33)  # of the step that clips nothing


def weight_form(weight: np.ndarray, kind: Weights, scaled: bool) -> Grid:
    """The encoding of `weight` [output channels, ...], with scales of its own or with scale 1.

    Binary scales are the means of |w| (Rastegari et al., XNOR-Net, 2016, eq. 6). Ternary weights
    are zero up to 0.7 times that mean, the scale is the mean above it (Li et al., Ternary weight
    networks, 2016, eq. 6 and 3); with scale 1 the threshold is the mean over all channels. Scales
    of 2 and 3 bits have the least squared error.
    """
    flat = np.abs(weight.astype(np.float64)).reshape(len(weight), -1)
    if kind == "binary":
        return Binary(*_scales(flat.mean(axis=1))) if scaled else Binary()
    if kind == "ternary":
        return _ternary(flat) if scaled else _unit(flat)
    steps, axis = _scales(_steps(weight.astype(np.float64).reshape(len(weight), -1), kind))
    return Int(kind, steps, Const(np.zeros(len(weight)), "int32"), axis=axis)


def _scales(found: np.ndarray) -> tuple[Const, int]:
    """Positive float32 scales along axis 0."""
    largest = float(found.max(initial=0.0)) or 1.0
    return Const(np.maximum(found, largest * LEAST), "float32"), 0


def _ternary(flat: np.ndarray) -> Ternary:
    """The threshold and scale of each channel."""
    low = SHARE * flat.mean(axis=1)
    above = flat > low[:, None]
    scale, axis = _scales((flat * above).sum(axis=1) / np.maximum(above.sum(axis=1), 1))
    bound = np.minimum(low.astype(np.float32), scale.array * np.float32(0.999))
    return Ternary(scale, Const(bound, "float32"), axis)


def _unit(flat: np.ndarray) -> Ternary:
    """One threshold for all, below the scale 1."""
    return Ternary(threshold=Const(min(SHARE * float(flat.mean()), 0.999), "float32"))


def _steps(flat: np.ndarray, bits: int) -> np.ndarray:
    """The step of each row for signed codes of so many bits, of least squared error."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    whole = np.maximum(np.abs(flat).max(axis=1) / high, 1e-30)
    steps = whole[:, None] * STEPS
    errors = [
        ((np.clip(np.rint(flat / s[:, None]), low, high) * s[:, None] - flat) ** 2).sum(axis=1)
        for s in steps.T
    ]
    best: np.ndarray = np.take_along_axis(steps, np.argmin(errors, axis=0)[:, None], axis=1)[:, 0]
    return best
