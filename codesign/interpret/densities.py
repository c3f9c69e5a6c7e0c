"""Shares of feature maps that are not zero, on data."""

from collections.abc import Iterable, Mapping

import numpy as np

from codesign.interpret.evaluate import Interpreter
from codesign.ir.graph import Graph


def densities(graph: Graph, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """By value, the share of its elements that are not zero in `batches` of inputs.

    Inputs and results of every node; at least one element counts as not zero.
    """
    run = Interpreter(graph)
    seen: dict[str, tuple[int, int]] = {}
    for inputs in batches:
        for _, made in run.steps(inputs, ()):
            for value, tensor in made.items():
                there, size = seen.get(value, (0, 0))
                seen[value] = there + int(tensor.count_nonzero()), size + tensor.numel()
    return {value: max(1, there) / max(1, size) for value, (there, size) in seen.items()}
