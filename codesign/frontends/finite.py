"""Weights and biases of layers are finite, whatever file they come from."""

import numpy as np

from codesign.errors import InvalidModelError
from codesign.ir.graph import Graph

LAYERS = frozenset(
    {
        *("conv", "conv_transpose", "linear", "matmul", "einsum", "rnn", "lstm", "gru"),
        *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"),
    }
)


def check_layers(graph: Graph) -> Graph:
    """`graph`; InvalidModelError if a constant that a layer reads is NaN or infinite.

    Constants of other ops may be infinite: masks are added, bounds are clipped to.
    """
    for node in graph.nodes:
        if node.kind not in LAYERS:
            continue
        for name in node.operands:
            if name in graph.constants:
                what = f"weight {name!r} of {node.kind} %{node.name}"
                _check(graph.constants[name].array, what)
    return graph


def _check(array: np.ndarray, what: str) -> None:
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array)
    if bad.any():
        raise InvalidModelError(
            f"{what} holds {int(bad.sum())} values that are not finite, the first at "
            f"{np.argwhere(bad)[0].tolist()}; expected finite weights: training or export likely "
            "failed"
        )
