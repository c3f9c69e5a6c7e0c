"""What the weights of layers are multiplied by, over calibration data: means and covariances."""

from collections.abc import Collection, Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

from codesign.interpret.evaluate import Interpreter
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv, torch_pad
from codesign.passes.quantize.compensate import Moments
from codesign.passes.quantize.probes import runs
from codesign.rewrite.context import Context, Dataset

DEEPEST = 4608  # products a sum, beyond which covariances would take too much memory
SAMPLES = 32
POSITIONS = 16  # along each axis of a sample, evenly spread


class _Sums:
    """Sums over the windows of one layer."""

    def __init__(self, squared: bool) -> None:
        self.squared, self.count = squared, 0
        self.first = self.second = torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Take windows [positions, groups, K]."""
        self.count += len(x)
        self.first = self.first + x.double().sum(dim=0)
        if self.squared:
            by_group = x.permute(1, 2, 0)
            self.second = self.second + (by_group @ by_group.transpose(1, 2)).double()

    @property
    def mean(self) -> Tensor:
        """[groups, K]."""
        return self.first / max(1, self.count)

    def squares(self, centred: bool) -> Tensor:
        """[groups, K, K]: the second moments, about the mean if they are to be `centred`."""
        if not centred:
            return self.second
        mean = self.mean
        return self.second - self.count * mean[:, :, None] * mean[:, None, :]


@torch.no_grad()
def moments(
    graph: Graph,
    layers: Sequence[str],
    squared: Collection[str],
    data: Dataset,
    context: Context,
    who: str,
) -> Moments:
    """The means of `layers`, and for those in `squared` that are not too deep the squares."""
    nodes = {name: graph.by_name[name] for name in layers}
    found = {
        name: _Sums(name in squared and _depth(graph, node) <= DEEPEST)
        for name, node in nodes.items()
    }
    count = min(SAMPLES, data.size)
    for i, (wide, inputs) in enumerate(runs(graph, data, count)):
        context.progress(f"{who}: moments of what weights multiply", i / count)
        alive: dict[str, Tensor] = {}
        kept = {node.operands[0] for node in nodes.values()}
        for _, made in Interpreter(wide).steps(inputs, ()):
            alive |= {value: x for value, x in made.items() if value in kept}
            for name in [n for n in nodes if n in made]:
                found[name].add(windows(graph, nodes[name], alive[nodes[name].operands[0]]))
    squares: dict[str, Tensor] = {}
    for name, sums in found.items():
        if sums.squared:
            weight, biased = nodes[name].operands[1], len(nodes[name].operands) > 2
            squares[weight] = squares.get(weight, torch.zeros(())) + sums.squares(biased)
    return Moments(
        {name: sums.mean.numpy() for name, sums in found.items()},
        {name: table.float().numpy() for name, table in squares.items()},
    )


def _depth(graph: Graph, node: Node) -> int:
    shape = graph.types[node.operands[1]].shape
    return int(np.prod(shape[1:]))


def windows(graph: Graph, node: Node, x: Tensor) -> Tensor:
    """[positions, groups, K] of what the weight of `node` is multiplied by, some of `x`."""
    if not isinstance(node.op, Conv):
        rows = x.reshape(-1, x.shape[-1])
        step = max(1, ceil(len(rows) / (POSITIONS**2 * SAMPLES)))
        return rows[::step, None, :].float()
    op, shape = node.op, graph.types[node.operands[1]].shape
    x, axes = torch_pad(x, op.pads), len(op.strides)
    for axis, (taps, stride, dilation) in enumerate(
        zip(shape[2:], op.strides, op.dilations, strict=True), start=2
    ):
        x = x.unfold(axis, dilation * (taps - 1) + 1, stride)[..., ::dilation]
        x = x[(slice(None),) * axis + (slice(None, None, ceil(x.shape[axis] / POSITIONS)),)]
    places = range(2, 2 + axes)
    x = x.permute(0, *places, 1, *range(2 + axes, 2 + 2 * axes))
    return x.reshape(-1, op.groups, int(np.prod(shape[1:]))).float()
