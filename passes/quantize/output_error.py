"""Sensitivity by output error: what one weight, or one value, in codes does to the outputs."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from codesign.interpret.replay import Replay
from codesign.ir.encoding import project
from codesign.ir.encodings.integer import Int
from codesign.passes.quantize.plan import Plan
from codesign.passes.quantize.probes import Errors, runs
from codesign.rewrite.context import Context, Dataset


def output_errors(plan: Plan, data: Dataset, count: int, context: Context, who: str) -> Errors:
    """The errors of `plan` at all widths over `count` samples, the rest of the network in float.

    One run for each weight and width, and for each value and width, from where it is first read.
    """
    signal = 0.0
    found = Errors(dict.fromkeys(plan.weight_widths, 0.0), dict.fromkeys(plan.value_widths, 0.0))
    weights, values = dict(found.weights), dict(found.values)
    batches = list(runs(plan.graph, data, count))
    for i, (graph, inputs) in enumerate(batches):
        replay = Replay(graph, inputs)
        signal += sum(_power(x) for x in replay.outputs)
        steps = len(weights) + len(values)
        for j, (name, width) in enumerate(weights):
            context.progress(f"{who}: sensitivity of %{name}", (i + j / steps) / len(batches))
            weights[name, width] += _noise(replay, _rounded(plan, name, width), {})
        for j, (root, width) in enumerate(values, len(weights)):
            context.progress(f"{who}: sensitivity of %{root}", (i + j / steps) / len(batches))
            values[root, width] += _noise(replay, {}, plan.coded(root, width))
    return Errors(weights, values).scaled(signal)


def _rounded(plan: Plan, name: str, width: int) -> dict[tuple[str, str], np.ndarray]:
    """The weight of layer `name` on its grid, and the bias that goes with it."""
    node = plan.graph.by_name[name]
    form, x = plan.alone(node, width)
    found = {(name, node.operands[1]): project((form,), plan.forms.content(node, form, x))}
    bias = plan.forms.corrected(node, form, x)
    return found if bias is None else found | {(name, node.operands[2]): bias}


def _noise(
    replay: Replay, replaced: Mapping[tuple[str, str], np.ndarray], coded: Mapping[str, Int]
) -> float:
    """Power of what changes at the outputs."""
    found = replay.changed(replaced, coded)
    return sum(_power(y.double() - x.double()) for x, y in zip(replay.outputs, found, strict=True))


def _power(x: Tensor) -> float:
    return float((x.double() ** 2).sum())
