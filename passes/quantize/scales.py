"""Scales and zero points from ranges and weights."""

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.types import TensorType

SMALLEST = 1e-12  # of a scale, absolute: below it a range is one point
FINE_DIGITS = 8  # of a bias, behind the point
SHRUNKEN = np.linspace(1.0, 0.1, 19)  # of the largest weight, where codes are few


def activation(low: float, high: float, width: int, least: float = SMALLEST) -> Int:
    """Unsigned affine codes over [low, high], widened to hold zero exactly; scale >= `least`."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << width) - 1
    scale = np.float32(max((high - low) / top, least, SMALLEST))
    zero = int(np.clip(np.rint(-low / scale), 0, top))
    return Int(width, Const(scale, "float32"), Const(zero, "int32"), signed=False)


def spread(array: np.ndarray, width: int, per_channel: bool) -> np.ndarray:
    """Scales [channels] (axis 0; all alike unless `per_channel`) of symmetric codes of `array`.

    The largest element gets the last code; below 8 bits, where that would leave few codes for the
    others, the scale of least squared error does, searched over shrunken ranges. At least 2^-20 of
    the largest channel's: never zero.
    """
    top = (1 << (width - 1)) - 1
    rows = array.reshape(array.shape[0], -1)
    flat = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64)
    largest = max(float(flat.max(initial=0.0)), SMALLEST)
    scale = np.maximum(flat if per_channel else np.full_like(flat, largest), largest * 2.0**-20)
    scale = scale / top
    return scale if width >= 8 else _best(rows, scale, width, per_channel)


def _best(rows: np.ndarray, scale: np.ndarray, width: int, per_channel: bool) -> np.ndarray:
    """The shrunken `scale` of least squared error of each of `rows`, or of all together."""
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    errors = []
    for share in SHRUNKEN:
        step = (scale * share).astype(np.float32)[:, None]
        rounded = np.clip(np.rint(rows / step), low, high) * step
        errors.append(((rounded - rows).astype(np.float64) ** 2).sum(axis=1))
    table = np.stack(errors) if per_channel else np.stack(errors).sum(axis=1, keepdims=True)
    best: np.ndarray = scale * SHRUNKEN[table.argmin(axis=0)]
    return best


def reach(x: Int) -> int:
    """The largest magnitude of a code of `x` less its zero point."""
    zero = int(x.zero.array.max(initial=0))
    return max(zero - x.low, x.high - zero)


def weight(
    array: np.ndarray,
    width: int,
    per_channel: bool,
    bias: np.ndarray | None,
    x: Int,
    scale: np.ndarray | None = None,
    largest: float = np.inf,
    accumulator: int = ACCUMULATOR_BITS,
) -> Int:
    """Symmetric codes, by output channel (axis 0) or for the whole tensor, of factors of codes `x`.

    `scale` is the `spread` of `array` if it is known. It is raised where the bias, or the products,
    would not fit an accumulator of so many bits: no sum at all could leave it, or, where `largest`
    is the largest magnitude of a sum that was seen, none of up to four times that. Each of the two
    gets half of the accumulator's range.
    """
    limit = float(1 << (accumulator - 2))
    scale = spread(array, width, per_channel) if scale is None else scale
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (float(x.scale.array) * limit))
    rows, most = array.reshape(array.shape[0], -1), reach(x)
    room = max(limit - 0.5 * most * rows.shape[1], limit / 2)
    sums = np.abs(rows).sum(axis=1, dtype=np.float64) * most / room
    scale = np.maximum(scale, np.minimum(sums, largest / (float(x.scale.array) * limit / 2)))
    if not per_channel:
        return Int(width, Const(np.float32(scale.max()), "float32"))
    return Int(width, Const(scale.astype(np.float32), "float32"), axis=0)


def table(array: np.ndarray) -> Int:
    """Symmetric 8-bit codes of a table [rows, columns], by column (axis 1).

    The outliers of language models lie in few hidden dimensions (Dettmers et al., LLM.int8(),
    2022), so that a scale for each row or for all would give most elements few codes.
    """
    return Int(8, Const(spread(array.T, 8, True).astype(np.float32), "float32"), axis=1)


def fine_bias(bias: np.ndarray, x: TensorType, w: TensorType) -> Int:
    """Codes of a float bias beside products of few levels: 2^-8 of them, if sums then fit 30 bits.

    See `codesign.analysis.codes.digits`.
    """
    assert x.grid is not None and w.grid is not None
    scale = np.broadcast_to(x.grid.scale.array * w.grid.scale.array, bias.shape)
    most = max(abs(end) for end in x.grid.reach) * max(abs(end) for end in w.grid.reach)
    sums = w.size // len(bias) * most + float(np.abs(bias / scale).max(initial=0.0))
    digits = int(np.clip(30 - np.ceil(np.log2(sums + 1)), 0, FINE_DIGITS))
    fine = (scale * np.float32(2.0**-digits)).astype(np.float32)
    return Int(ACCUMULATOR_BITS, Const(fine), axis=0)


def accumulator(x: Int, w: Int, axis: int) -> Int:
    """The encoding of a sum of products of codes of `x` and `w`, by channel along `axis`."""
    scale = x.scale.array * w.scale.array
    return Int(ACCUMULATOR_BITS, Const(scale, "float32"), axis=axis if scale.ndim else None)
