"""How large the sums of layers become on calibration data."""

from collections.abc import Sequence

import numpy as np
import torch

from codesign.interpret.evaluate import Interpreter
from codesign.ir.graph import Graph
from codesign.passes.quantize.probes import runs
from codesign.rewrite.context import Dataset


@torch.no_grad()
def sums(graph: Graph, layers: Sequence[str], data: Dataset, count: int) -> dict[str, float]:
    """The largest magnitude of the products' sum of each of `layers`, its bias left aside."""
    found = dict.fromkeys(layers, 0.0)
    for wide, inputs in runs(graph, data, count):
        for node, made in Interpreter(wide).steps(inputs, ()):
            if node is not None and node.name in found:
                most = float(made[node.name].abs().max())
                found[node.name] = max(found[node.name], most)
    for name in layers:
        operands = graph.by_name[name].operands
        if len(operands) > 2:
            found[name] += float(np.abs(graph.constants[operands[2]].array).max(initial=0.0))
    return found
