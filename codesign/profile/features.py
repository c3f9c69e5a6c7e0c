"""What a correction of the cost model looks at."""

from math import log2, prod

import numpy as np
from numpy.typing import NDArray

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group

NAMES = (
    "latency", "macs", "bytes", "outputs", "depth", "channels in", "channels out", "width",
    "rows", "chain", "reads", "stride", "taps", "density", "weight bytes", "read bytes",
    "written bytes", "curves", "idle lanes", "idle columns", "choice 1", "choice 2", "choice 3",
    "choice 4", "choice 5", "choice 6", "idle inputs", "idle rows", "idle blocks", "tile", "border",
    "groups",
)  # fmt: skip
CHOICES = 6  # numbers of a schedule that are looked at
LANES = 16
CURVES = {
    "encode": 4, "erf": 10, "exp": 8, "gelu": 14, "hard_swish": 3, "layer_norm": 4, "mish": 20,
    "sigmoid": 8, "silu": 9, "softmax": 10, "tanh": 10,
}  # operations an element of what is no sum or product  # fmt: skip


def features(group: Group, cost: LayerCost, point: Point) -> NDArray[np.float64]:
    """Sizes of `group`, its modelled `cost` and schedule, mostly as logarithms, as in NAMES.

    How full vectors and tiles are tells most of what the models leave out, then the functions that
    follow the anchor, and what the schedule's numbers are: their meaning is the kernel's own.
    """
    parts = (_sizes(group, cost), _fillings(group, point), _choices(point), _tiling(group, point))
    return np.array([value for part in parts for value in part], np.float64)


def _sizes(group: Group, cost: LayerCost) -> list[float]:
    x, w, y = group.input_type(0), group.input_type(1), group.output_type
    outputs = prod(y.shape)
    op = group.anchor.op
    strides = getattr(op, "strides", ())
    taps = prod(w.shape[2:]) if w is not None and w.rank > 2 else prod(getattr(op, "kernel", ()))
    return [
        log2(max(cost.latency_ms, 1e-6)),
        log2(1 + cost.macs),
        log2(1 + sum(cost.traffic_bytes.values())),
        log2(1 + outputs),
        log2(1 + cost.macs / max(outputs, 1)),
        log2(_channels(x)),
        log2(_channels(y)),
        log2(max(y.shape[-1:], default=1) or 1),
        log2(max(y.shape[-2:-1], default=1) or 1),
        float(len(group.nodes)),
        float(len(group.variables)),
        log2(prod(strides)) if isinstance(strides, tuple) else 0.0,
        log2(max(taps, 1)),
        log2(_density(group)),
    ]


def _fillings(group: Group, point: Point) -> list[float]:
    """Bytes by role, the price of functions, and how much of vectors and tiles is padding."""
    constants = [v for v in group.operands if v in group.graph.constants]
    channels, width = _channels(group.output_type), group.output_type.shape[-1:] or (1,)
    return [
        log2(1 + sum(_bytes(group.type(v)) for v in constants)),
        log2(1 + sum(_bytes(group.type(v)) for v in group.variables)),
        log2(1 + sum(_bytes(group.type(v)) for v in group.outputs)),
        log2(1 + sum(CURVES.get(node.kind, 0) for node in group.nodes)),
        _padding(channels, LANES),
        _padding(width[0], _extents(point)[1]),
    ]


def _tiling(group: Group, point: Point) -> list[float]:
    """What tiles of rows, columns and channel blocks leave over, their size, and borders."""
    op, y = group.anchor.op, group.output_type
    rows, columns, blocks = _extents(point)
    height = y.shape[-2] if y.rank > 1 else 1
    pads, groups = getattr(op, "pads", ()), getattr(op, "groups", 1)
    return [
        _padding(_channels(group.input_type(0)), LANES),
        _padding(height, rows),
        _padding(-(-_channels(y) // LANES), blocks),
        log2(rows * columns * blocks),
        float(any(any(pair) for pair in pads)),
        log2(max(groups, 1)),
    ]


def _extents(point: Point) -> tuple[int, int, int]:
    """Rows, columns and channel blocks of a register tile, 1 where a schedule has none."""
    choice = {name: value for name, value in point if isinstance(value, int) and value > 0}
    columns = choice.get("cols", choice.get("columns", 1))
    return choice.get("rows", 1), columns, choice.get("blocks", 1)


def _choices(point: Point) -> list[float]:
    """The numbers of a schedule, those that are there."""
    found = [log2(max(v, 1)) for _, v in point if isinstance(v, int) and not isinstance(v, bool)]
    return [*found, *[0.0] * CHOICES][:CHOICES]


def _padding(size: int, tile: int) -> float:
    """log2 of how much larger `size` is as a multiple of `tile`."""
    return log2(-(-size // tile) * tile / size) if size > 0 and tile > 0 else 0.0


def _bytes(kind: TensorType) -> float:
    """Bytes of the elements, whatever the layout."""
    return prod(kind.shape) * (kind.integer.width if kind.integer else 32) / 8


def _channels(kind: TensorType | None) -> int:
    if kind is None or kind.rank < 2:
        return 1
    return max(1, kind.shape[1] if kind.rank > 2 else kind.shape[-1])


def _density(group: Group) -> float:
    """The share of nonzeros of a weight that is stored sparse, else 1."""
    kind, weight = group.input_type(1), group.constant(1)
    if kind is None or weight is None or all(e.role != "structure" for e in kind.encodings):
        return 1.0
    return max(float(np.count_nonzero(weight.array)) / max(1, weight.array.size), 1e-4)
