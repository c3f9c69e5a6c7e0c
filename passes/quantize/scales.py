"""Scales and zero points from ranges and weights."""

from dataclasses import replace

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int

SMALLEST = 1e-12  # of a scale, absolute: below it a range is one point
BIAS_LIMIT = float(1 << 30)


def activation(low: float, high: float, width: int, least: float = SMALLEST) -> Int:
    """Unsigned affine codes over [low, high], widened to hold zero exactly; scale >= `least`."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << width) - 1
    scale = np.float32(max((high - low) / top, least, SMALLEST))
    zero = int(np.clip(np.rint(-low / scale), 0, top))
    return Int(width, Const(scale, "float32"), Const(zero, "int32"), signed=False)


def weight(
    array: np.ndarray, width: int, per_channel: bool, bias: np.ndarray | None, input_scale: float
) -> Int:
    """Symmetric codes, by output channel (axis 0) or for the whole tensor.

    A dead or nearly dead channel gets a scale at which its bias still fits the accumulator, and at
    least 2^-20 of the largest channel's: never zero.
    """
    top = (1 << (width - 1)) - 1
    flat = np.abs(array.reshape(array.shape[0], -1)).max(axis=1).astype(np.float64)
    largest = max(float(flat.max(initial=0.0)), SMALLEST)
    scale = np.maximum(flat if per_channel else np.full_like(flat, largest), largest * 2.0**-20)
    scale = scale / top
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (input_scale * BIAS_LIMIT))
    if not per_channel:
        return Int(width, Const(np.float32(scale.max()), "float32"))
    return Int(width, Const(scale.astype(np.float32), "float32"), axis=0)


def table(array: np.ndarray) -> Int:
    """Symmetric 8-bit codes of a table [rows, columns], by column (axis 1).

    The outliers of language models lie in few hidden dimensions (Dettmers et al., LLM.int8(),
    2022), so that a scale for each row or for all would give most elements few codes.
    """
    return replace(weight(array.T, 8, True, None, 1.0), axis=1)


def accumulator(x: Int, w: Int, axis: int) -> Int:
    """The encoding of a sum of products of codes of `x` and `w`, by channel along `axis`."""
    scale = x.scale.array * w.scale.array
    return Int(ACCUMULATOR_BITS, Const(scale, "float32"), axis=axis if scale.ndim else None)
