"""Sensitivity by the trace of the Hessian (Dong et al., HAWQ-V2, NeurIPS 2020, equation 9).

The loss is the squared error of the outputs against those of the network in float. Its residual is
zero there, so that its Hessian is J^T J with the Jacobian J of the outputs, exactly. A change d of
n numbers is taken to cost trace(J^T J) / n * |d|^2. Hutchinson's method gives the trace: with u of
independent signs in the space of the outputs, E |J^T u|^2 = trace(J J^T) = trace(J^T J), so that
one backward pass serves all layers and activations at once.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from codesign.errors import UsageError
from codesign.interpret.arrays import to_torch
from codesign.interpret.rounding import project
from codesign.interpret.step import compute
from codesign.ir.graph import Graph, Node
from codesign.passes.quantize.plan import Plan
from codesign.passes.quantize.probes import Errors, runs
from codesign.rewrite.context import Context, Dataset

Key = tuple[str, str]  # ("", value) for activations, (layer, weight) for weights


def hessian_errors(
    plan: Plan, data: Dataset, count: int, vectors: int, context: Context, who: str
) -> Errors:
    """The errors of all layers of `plan` at all widths over `count` samples and `vectors` signs."""
    sums = _Sums(plan)
    batches = list(runs(plan.graph, data, count))
    generator = torch.Generator().manual_seed(context.seed)
    for i, (graph, inputs) in enumerate(batches):
        outputs, leaves = _forward(graph, inputs, plan, sums.sources)
        sums.signal += sum(_power(x.detach()) for x in outputs)
        for j in range(vectors):
            context.progress(f"{who}: Hessian traces", (i + j / vectors) / len(batches))
            sums.traced(leaves, _gradients(outputs, leaves, generator), vectors)
        sums.rounded(leaves)
    return sums.errors()


class _Sums:
    """Traces, sizes and squared rounding errors, summed over batches."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sources = {root: _sources(plan, root) for root in plan.readers}
        self.signal = 0.0
        self.trace: dict[Key, float] = {}
        self.size: dict[Key, int] = {}
        self.rounding: dict[tuple[str, int], float] = {}

    def traced(self, leaves: Mapping[Key, Tensor], found: list[Tensor | None], of: int) -> None:
        """Add the squared gradients of one of `of` vectors."""
        for key, gradient in zip(leaves, found, strict=True):
            power = 0.0 if gradient is None else _power(gradient)
            self.trace[key] = self.trace.get(key, 0.0) + power / of

    def rounded(self, leaves: Mapping[Key, Tensor]) -> None:
        """Add what rounding a batch of activations takes away from them."""
        for key, x in leaves.items():
            self.size[key] = x.numel() + (0 if key[0] else self.size.get(key, 0))
        for root, width in self.plan.value_widths:
            form = self.plan.spans.form(root, width)
            for value in self.sources[root]:
                x = leaves["", value].detach()
                known = self.rounding.get((value, width), 0.0)
                self.rounding[value, width] = known + _power(project(x, (form,)) - x)

    def errors(self) -> Errors:
        """Traces times squared rounding errors, over the signal."""
        weights = {
            (name, width): self.weight(self.plan.graph.by_name[name], width)
            for name, width in self.plan.weight_widths
        }
        values = {
            (root, width): sum(
                self.mean("", value) * self.rounding[value, width] for value in self.sources[root]
            )
            for root, width in self.plan.value_widths
        }
        return Errors(weights, values).scaled(self.signal)

    def weight(self, node: Node, width: int) -> float:
        """What rounding the weight of `node` does, plainly: errors as likely in all directions."""
        name = node.operands[1]
        x = to_torch(self.plan.graph.constants[name].array)
        form, _ = self.plan.alone(node, width)
        rounding = _power(project(x, (form,)) - x)
        return self.mean(node.name, name) * rounding

    def mean(self, layer: str, value: str) -> float:
        """The mean of the diagonal of the Hessian."""
        return self.trace[layer, value] / max(1, self.size[layer, value])


def _power(x: Tensor) -> float:
    return float((x.double() ** 2).sum())


def _sources(plan: Plan, root: str) -> tuple[str, ...]:
    """The values of class `root` where rounding happens: those made of none other of the class."""
    values = set(plan.regions.classes()[root])
    made = plan.graph.producers
    return tuple(v for v in sorted(values) if v not in made or not values & set(made[v].operands))


def _forward(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    plan: Plan,
    sources: Mapping[str, tuple[str, ...]],
) -> tuple[list[Tensor], dict[Key, Tensor]]:
    """Outputs, and the tensors to differentiate them by."""
    alive = {name: to_torch(const.array) for name, const in graph.constants.items()}
    alive |= {name: to_torch(inputs[name]) for name in graph.inputs}
    wanted = {value for values in sources.values() for value in values}
    for name in wanted & set(graph.inputs):
        alive[name] = alive[name].clone().requires_grad_()
    leaves: dict[Key, Tensor] = {("", name): alive[name] for name in wanted & set(graph.inputs)}
    for node in graph.nodes:
        operands = [None if v is None else alive[v] for v in node.inputs]
        if node.name in plan.offers:
            weight = alive[node.operands[1]].clone().requires_grad_()
            leaves[node.name, node.operands[1]] = operands[1] = weight
        alive |= zip(node.outputs, compute(graph, node, operands), strict=True)
        leaves |= {("", v): alive[v] for v in node.outputs if v in wanted}
    return [alive[value] for value in graph.outputs], leaves


def _gradients(
    outputs: list[Tensor], leaves: Mapping[Key, Tensor], generator: torch.Generator
) -> list[Tensor | None]:
    """J^T u for signs u drawn anew; None for what no output depends on."""
    smooth = [x for x in outputs if x.requires_grad]
    if not smooth:
        raise UsageError("no output depends smoothly on any layer; use measure=output instead")
    signs = [torch.randint(0, 2, x.shape, generator=generator).to(x.dtype) * 2 - 1 for x in smooth]
    wanted = [x for x in leaves.values() if x.requires_grad]
    found = iter(torch.autograd.grad(smooth, wanted, signs, retain_graph=True, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in leaves.values()]
