"""What a correction of the cost model looks at."""

from math import log2, prod

import numpy as np
from numpy.typing import NDArray

from codesign.analysis.estimate import LayerCost
from codesign.ir.types import TensorType
from codesign.mapping.group import Group

NAMES = (
    "latency", "macs", "bytes", "outputs", "depth", "channels in", "channels out", "width",
    "rows", "chain", "reads", "stride", "taps", "density",
)  # fmt: skip


def features(group: Group, cost: LayerCost) -> NDArray[np.float64]:
    """Sizes of `group` and its modelled `cost`, mostly as logarithms, in the order of NAMES."""
    x, w, y = group.input_type(0), group.input_type(1), group.output_type
    outputs = prod(y.shape)
    op = group.anchor.op
    strides = getattr(op, "strides", ())
    taps = prod(w.shape[2:]) if w is not None and w.rank > 2 else prod(getattr(op, "kernel", ()))
    values = (
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
    )
    return np.array(values, np.float64)


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
