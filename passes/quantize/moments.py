"""Second moments of what the weights of layers are multiplied by, over calibration data."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

from codesign.interpret.arrays import to_torch
from codesign.interpret.evaluate import Interpreter
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv, torch_pad
from codesign.passes.quantize.probes import runs
from codesign.rewrite.context import Context, Dataset

DEEPEST = 4608  # products a sum, beyond which the moments would take too much memory
SAMPLES = 16
POSITIONS = 16  # along each axis of a sample, evenly spread
SWEEPS = 4  # over all elements of a weight, each rounded anew beside the others


@torch.no_grad()
def moments(
    graph: Graph, layers: Sequence[str], data: Dataset, count: int, context: Context, who: str
) -> dict[str, np.ndarray]:
    """[groups, K, K] by weight: sums of x x^T over windows x of K elements that it multiplies.

    Weights that several layers share get the sum of theirs; those deeper than `DEEPEST` none.
    """
    found: dict[str, Tensor] = {}
    chosen = [n for n in layers if _depth(graph, graph.by_name[n]) <= DEEPEST]
    nodes = {name: graph.by_name[name] for name in chosen}
    count = min(count, SAMPLES, data.size)
    for i, (wide, inputs) in enumerate(runs(graph, data, count)):
        context.progress(f"{who}: second moments", i / count)
        alive: dict[str, Tensor] = {}
        kept = {node.operands[0] for node in nodes.values()}
        for _, made in Interpreter(wide).steps(inputs, ()):
            alive |= {value: x for value, x in made.items() if value in kept}
            for name in [n for n in nodes if n in made]:
                x, weight = alive[nodes[name].operands[0]], nodes[name].operands[1]
                sums = _sums(windows(graph, nodes[name], x))
                found[weight] = found[weight] + sums if weight in found else sums
    return {name: sums.numpy() for name, sums in found.items()}


def _depth(graph: Graph, node: Node) -> int:
    shape = graph.types[node.operands[1]].shape
    return int(np.prod(shape[1:]))


def _sums(x: Tensor) -> Tensor:
    """[groups, K, K] of windows [positions, groups, K]."""
    by_group = x.permute(1, 2, 0)
    return by_group @ by_group.transpose(1, 2)


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


def compensated(
    array: np.ndarray, sums: np.ndarray, scale: np.ndarray, low: int, high: int
) -> np.ndarray:
    """`array` [M, ...] on the grid of `scale` [M] with codes `low` to `high`.

    Element by element, what rounding one takes from the layer's result is put into those that are
    not yet rounded (Frantar et al., GPTQ, ICLR 2023, algorithm 1; in one block, 1 % damping). Then
    each is rounded anew, as is best beside all others (Behdin et al., QuantEase, 2023). Both are
    with respect to the second moments `sums` [groups, K, K] of what is multiplied.
    """
    groups, depth = sums.shape[:2]
    exact = array.reshape(groups, -1, depth).astype(np.float64)
    steps = np.broadcast_to(scale.astype(np.float64), (array.shape[0],)).reshape(groups, -1)
    dense, left = _damped(sums), exact.copy()
    upper, done = _upper(dense), np.empty_like(left)
    for k in range(depth):
        done[:, :, k] = np.clip(np.rint(left[:, :, k] / steps), low, high) * steps
        error = (left[:, :, k] - done[:, :, k]) / upper[:, k, k, None]
        left[:, :, k + 1 :] -= error[:, :, None] * upper[:, k, None, k + 1 :]
    _descend(exact - done, done, steps, dense.numpy(), (low, high))
    result: np.ndarray = done.reshape(array.shape).astype(array.dtype)
    return result


def _descend(
    off: np.ndarray, done: np.ndarray, steps: np.ndarray, sums: np.ndarray, ends: tuple[int, int]
) -> None:
    """Round elements of `done`, which is `off` by so much, anew while that lessens the loss."""
    for _ in range(SWEEPS):
        changed = False
        for k in range(done.shape[2]):
            wanted = (
                done[:, :, k] + np.einsum("gmk,gk->gm", off, sums[:, :, k]) / sums[:, k, k, None]
            )
            found = np.clip(np.rint(wanted / steps), *ends) * steps
            changed |= bool((found != done[:, :, k]).any())
            off[:, :, k] += done[:, :, k] - found
            done[:, :, k] = found
        if not changed:
            return


def _damped(sums: np.ndarray) -> Tensor:
    """`sums` with a hundredth of their mean more on the diagonal."""
    dense = to_torch(sums).double()
    damping = 0.01 * dense.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-9
    return dense + torch.eye(dense.shape[1], dtype=torch.float64) * damping[:, None, None]


def _upper(dense: Tensor) -> np.ndarray:
    """The upper Cholesky factor of the inverse of `dense`."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(dense))
    found: np.ndarray = torch.linalg.cholesky(inverse, upper=True).numpy()
    return found
