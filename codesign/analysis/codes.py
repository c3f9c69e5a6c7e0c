"""What integer meanings need to know about encodings; interpreter, kernels and simulators agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Node
from codesign.ir.ops.activation import Clip
from codesign.ir.ops.gather import Embedding, Gather
from codesign.ir.types import TensorType

MOST_DIGITS = 16  # of a bias, see `digits`
SUMS = frozenset({"conv", "linear"})
CLAMPS = frozenset({"relu", "clip"})


def sums_codes(node: Node, types: Mapping[str, TensorType]) -> bool:
    """True if `node` is a conv or linear layer that multiplies codes and adds them up as such.

    Its input has one scale, its weight one for all or one an output channel, and no zero points.
    Its bias, if any, is in codes (see `digits`), or in floats where one factor is binary or
    ternary.
    """
    if node.kind not in SUMS:
        return False
    x, w, *bias = (types[v].grid for v in node.operands)
    if x is None or w is None or x.scale.array.ndim or w.axis not in (None, 0):
        return False
    if isinstance(w, Int) and not w.symmetric:
        return False
    return None not in bias or not (isinstance(x, Int) and isinstance(w, Int))


def digits(node: Node, types: Mapping[str, TensorType]) -> int:
    """Binary digits behind the point that a layer's coded bias has, counted in its products.

    Products of few levels are too coarse a unit for a bias: its scale may be 2^digits times finer,
    and the sums then are counted in that.
    """
    x, w, *bias = (types[v].grid for v in node.operands)
    if not bias or bias[0] is None or x is None or w is None:
        return 0
    ratio = (x.scale.array * w.scale.array).astype(np.float64) / bias[0].scale.array
    exponent = np.rint(np.log2(ratio.max(initial=1.0)))
    fits = 1 <= exponent <= MOST_DIGITS and np.allclose(ratio, 2.0**exponent, rtol=1e-5, atol=0)
    return int(exponent) if fits else 0


def sum_scale(node: Node, types: Mapping[str, TensorType]) -> np.ndarray:
    """float32 scale of a layer's sums, with the bias: a scalar, or one an output channel."""
    x, w = (types[v].grid for v in node.operands[:2])
    assert x is not None and w is not None
    scale: np.ndarray = x.scale.array * w.scale.array * np.float32(2.0 ** -digits(node, types))
    return scale


def few_levels(node: Node, types: Mapping[str, TensorType]) -> bool:
    """True if `node` sums products of codes of which one factor is binary or ternary."""
    forms = [types[v].grid for v in node.operands[:2]]
    return sums_codes(node, types) and not all(isinstance(form, Int) for form in forms)


def scale_ratio(source: Int, out: Int) -> np.ndarray:
    """Real ratio of the scale of `source` to that of `out` in float64: scalar or by channel."""
    ratio: np.ndarray = source.scale.array.astype(np.float64) / out.scale.array.astype(np.float64)
    return ratio


def clampable(node: Node, out: Int) -> bool:
    """True if relu or clip `node` is a clamp of codes of `out`."""
    return out.axis is None or (node.kind == "relu" and out.symmetric)


def code_bounds(node: Node, out: Int) -> tuple[int, int]:
    """The codes between which relu or clip keep a result encoded as `out`."""
    if out.axis is not None:
        return max(out.low, 0), out.high
    low, high = (node.op.low, node.op.high) if isinstance(node.op, Clip) else (0.0, np.inf)
    codes = [
        int(out.encode(np.asarray(bound, np.float32))["values"]) if np.isfinite(bound) else code
        for bound, code in ((low, out.low), (high, out.high))
    ]
    return codes[0], codes[1]


def addable(terms: Sequence[Int], out: Int) -> bool:
    """True if codes of `terms`, axes counted alike, sum to codes of `out` in one rounding."""
    return out.axis is None and len({e.axis for e in terms if e.axis is not None}) <= 1


def averaged(node: Node, x: TensorType) -> int:
    """How many elements an average `node` (avg_pool without pads, reduce_mean) of `x` takes."""
    if node.kind == "avg_pool":
        return prod(node.op.kernel)  # type: ignore[attr-defined]
    return prod(x.shape[axis] for axis in node.op.axes)  # type: ignore[attr-defined]


def table_of(node: Node) -> str | None:
    """The operand of which `node` reads whole rows, at positions that are data; else None."""
    if isinstance(node.op, Embedding):
        return node.operands[1]
    return node.operands[0] if isinstance(node.op, Gather) and node.op.axis == 0 else None


def row_codes(table: TensorType, rank: int) -> Int | None:
    """The encoding that rows of `table` keep as the last axes of a result of `rank` axes.

    None if the table is not in codes, or has a scale for every row.
    """
    code = table.integer
    if code is None or code.axis is None:
        return code
    return replace(code, axis=code.axis + rank - table.rank) if code.axis else None
