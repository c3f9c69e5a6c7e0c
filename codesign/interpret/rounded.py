"""The grids of values in training, their scales learned."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from codesign.errors import TrainingError
from codesign.interpret.straight import Surrogate, rule_of, scale_of, straight
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.graph import Graph

WIDEST = 16  # bits; what is wider are sums, finer than float32


class Learned(torch.nn.Module):
    """A scale in training: what it began with, times the exponential of a parameter.

    So it stays positive, and a step of the optimizer changes scales of all sizes by one share.
    """

    begun: Tensor
    growth: Tensor

    def __init__(self, form: Grid, rank: int, learned: bool) -> None:
        super().__init__()
        self.shape = form.scale.shape
        self.learned = learned
        self.register_buffer("begun", scale_of(form, rank).clone())
        if learned:
            self.growth = torch.nn.Parameter(torch.zeros_like(self.begun))

    def forward(self) -> Tensor:
        """The scale, laid out along the axes of the tensor."""
        return self.begun * self.growth.exp() if self.learned else self.begun

    def const(self, name: str) -> Const:
        """The scale as encodings hold it; TrainingError if it is none any more."""
        array = self().detach().numpy().reshape(self.shape)
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise TrainingError(f"training diverged: the scale of {name!r} is not finite")
        return Const(array, "float32")


class Rounded(torch.nn.Module):
    """Rounding of values onto a grid whose scale is learned (Esser et al., LSQ, 2020)."""

    def __init__(self, form: Grid, rank: int, steps: bool, surrogate: Surrogate) -> None:
        super().__init__()
        self.start = form
        self.rule = rule_of(form, rank, surrogate)
        self.scale = Learned(form, rank, steps and not unit(form))

    def forward(self, x: Tensor) -> Tensor:
        """`x` on the grid as it stands."""
        return straight(x, self.scale(), self.rule)

    def form(self, name: str) -> Grid:
        """The encoding with the scale that was learned."""
        start = self.start
        assert isinstance(start, Binary | Int | Ternary)
        return replace(start, scale=self.scale.const(name))


def unit(form: Grid) -> bool:
    """True for signs whose scale is 1 by design, as in BNN and BinaryConnect: it stays so."""
    return not isinstance(form, Int) and bool((form.scale.array == 1).all())


def shared_grids(graph: Graph) -> Iterator[tuple[Grid, list[str]]]:
    """The grids of values that are no constants, each with the values that share its scale.

    Codes move unchanged between values of one integer encoding, so these keep one scale.
    """
    classes: dict[tuple[object, ...], list[str]] = {}
    for value, kind in graph.types.items():
        form = kind.grid
        if value in graph.constants or form is None or form.code_bits > WIDEST:
            continue
        laid = None if form.axis is None else kind.rank
        key = (form, laid) if isinstance(form, Int) else (value,)
        classes.setdefault(key, []).append(value)
    for values in classes.values():
        form = graph.types[values[0]].grid
        assert form is not None
        yield form, values
