"""A graph in training: latent weights, learned scales, batch norms with statistics of the batch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from codesign.errors import TrainingError, UnsupportedModelError
from codesign.interpret.arrays import carried, to_torch
from codesign.interpret.latent import Latent
from codesign.interpret.module import learnable
from codesign.interpret.rounded import Rounded, shared_grids
from codesign.interpret.rounding import element_of, project
from codesign.interpret.straight import Surrogate
from codesign.ir.const import Const
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.types import TensorType

LAYERS = frozenset({"conv", "linear"})


@dataclass(frozen=True)
class Learning:
    """What is learned besides weights, and how.

    `steps`: the scales of values and weights (see `Rounded` and `Latent`). `surrogate`: the slope
    by which gradients pass one-bit values. `momentum` of a batch norm's running statistics, which
    with 0 stay as they are, as does the normalization by them.
    """

    steps: bool = True
    surrogate: Surrogate = "clip"
    momentum: float = 0.1


class Trainee(torch.nn.Module):
    """The torch form of `graph` for training, over any number of samples that its ops allow.

    In training mode batch norms use the statistics of the batch and update the running ones; in
    evaluation mode outputs are those of the interpreter for `trained()`. `start` are latent weights
    by the names of constants, otherwise a constant starts from what is stored.
    """

    def __init__(
        self, graph: Graph, learning: Learning, start: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        self.graph, self.learning = graph, learning
        for node in graph.walk("codes"):
            raise UnsupportedModelError(f"codes %{node.name} has no gradient to train by")
        changing, given = set(learnable(graph)), start or {}
        self.latents = torch.nn.ModuleDict()
        self.keys: dict[str, str] = {}
        for i, (name, const) in enumerate(graph.constants.items()):
            key = self.keys[name] = f"c{i}"
            if name in changing:
                array = given.get(name, const.array)
                kind = _free_of_sums(graph.types[name])
                self.latents[key] = Latent(kind, array, const.array, learning.steps)
            else:
                self.register_buffer(key, to_torch(const.array).clone())
        self.values = torch.nn.ModuleDict()
        self.value_keys: dict[str, str] = {}
        for i, (form, values) in enumerate(shared_grids(graph)):
            rank = graph.types[values[0]].rank
            self.values[f"v{i}"] = Rounded(form, rank, learning.steps, learning.surrogate)
            self.value_keys |= dict.fromkeys(values, f"v{i}")

    def constant(self, name: str) -> Tensor:
        """The logical value of constant `name` as it stands."""
        key = self.keys[name]
        found: Tensor = self.latents[key]() if key in self.latents else getattr(self, key)
        return found

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in order, for the inputs in order, each [samples, ...]."""
        graph = self.graph
        alive = {name: self.constant(name) for name in self.keys}
        for name, tensor in zip(graph.inputs, inputs, strict=True):
            alive[name] = self.settled(name, tensor)
        for node in graph.nodes:
            for value, result in zip(node.outputs, self.computed(node, alive), strict=True):
                alive[value] = self.settled(value, result)
        return tuple(alive[value] for value in graph.outputs)

    def computed(self, node: Node, alive: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The results of `node`, before they are rounded."""
        operands = [None if v is None else alive[v] for v in node.inputs]
        if self.training and self.by_batch(node):
            return (self.normalized(node, alive),)
        made = node.op.evaluate(*operands)
        return made if isinstance(made, tuple) else (made,)

    def by_batch(self, node: Node) -> bool:
        """Whether `node` is a batch norm that takes the statistics of each batch."""
        fixed = all(v in self.keys for v in node.operands[1:])
        return isinstance(node.op, BatchNorm) and fixed and self.learning.momentum > 0

    def normalized(self, node: Node, alive: Mapping[str, Tensor]) -> Tensor:
        """What batch norm `node` makes by the statistics of the batch; updates the running ones."""
        assert isinstance(node.op, BatchNorm)
        x, scale, bias, mean, var = (alive[v] for v in node.operands)
        return torch.nn.functional.batch_norm(
            x, mean, var, scale, bias, True, self.learning.momentum, node.op.epsilon
        )

    def settled(self, value: str, x: Tensor) -> Tensor:
        """`x` as `value` stores it."""
        kind = self.graph.types[value]
        x = carried(x, kind.dtype)
        if value in self.value_keys:
            rounded: Tensor = self.values[self.value_keys[value]](x)
            return rounded
        if kind.integer is not None:
            return x  # an accumulator: finer than float32
        return project(x, element_of(kind.encodings))

    def trained(self) -> Graph:
        """The graph with what was learned: weights, statistics, and scales in the encodings.

        TrainingError names what is not finite.
        """
        types, constants = dict(self.graph.types), dict(self.graph.constants)
        for value, key in self.value_keys.items():
            types[value] = types[value].with_encoding(_rounded(self.values[key]).form(value))
        for name, key in self.keys.items():
            if key in self.latents:
                latent = self.latents[key]
                assert isinstance(latent, Latent)
                types[name], constants[name] = latent.stored(name, types[name])
            elif constants[name].array.dtype.kind == "f":
                constants[name] = Const(_finite(name, getattr(self, key)))
        return summed_anew(replace(self.graph, types=types, constants=constants), self.graph)


def _rounded(module: torch.nn.Module) -> Rounded:
    assert isinstance(module, Rounded)
    return module


def _finite(name: str, tensor: Tensor) -> np.ndarray:
    """A copy of `tensor`, or TrainingError."""
    array = np.array(tensor.detach().numpy(), copy=True, order="C")
    if not np.isfinite(array).all():
        raise TrainingError(f"training diverged: {name!r} holds values that are not finite")
    return array


def _free_of_sums(kind: TensorType) -> TensorType:
    """`kind` without codes of sums: these are so fine that training does without them."""
    code = kind.integer
    return kind.without("element") if code is not None and code.width > 16 else kind


def summed_anew(graph: Graph, before: Graph) -> Graph:
    """`graph` with the scales of sums, biases and accumulators alike, those of their factors."""
    types, constants = dict(graph.types), dict(graph.constants)
    for node in (node for node in graph.nodes if node.kind in LAYERS):
        x, w = (graph.types[v].grid for v in node.operands[:2])
        if x is None or w is None:
            continue
        scale = Const(x.scale.array * w.scale.array)
        for value in (*node.operands[2:], *node.outputs):
            old = before.types[value].integer
            if old is None or old.width != ACCUMULATOR_BITS or old.scale.shape != scale.shape:
                continue
            types[value] = types[value].with_encoding(replace(old, scale=scale))
            if value in constants:
                constants[value] = _stored(constants[value], replace(old, scale=scale))
    return replace(graph, types=types, constants=constants)


def _stored(const: Const, form: Int) -> Const:
    """`const` as codes of `form` stand for it."""
    codes = form.encode(const.array)
    return Const.share(form.decode(codes, const.shape).astype(const.array.dtype))
