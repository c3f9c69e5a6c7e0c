"""A layer's sums to codes of few levels, with all that lies between, as integer thresholds.

Batch norms, scales, biases, clamps and rounding are monotone in a channel's sum, in floating point
as well: rounding never turns an order round. So the code of a channel is the number of thresholds
that its sum S reaches, and the least S that reaches each is found by bisection through the integer
meaning itself (`codesign.interpret.integer`): the thresholds are exact whatever was folded or not.
Source: Umuroglu et al., FINN, 2017, section 4.2.2, which derives them in real numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codesign.analysis.codes import digits, sum_scale
from codesign.analysis.steps import channel_axis, no_steps
from codesign.errors import VerificationError
from codesign.interpret.arrays import to_torch
from codesign.interpret.integer import IntegerInterpreter, accumulated
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph, Node


@dataclass(frozen=True)
class Steps:
    """code[c] = `low` + the number of k for which sign[c] * S >= thresholds[c, k].

    `signs` int64 [C]: -1 where a larger sum gives a smaller code, else 1. `thresholds` int64
    [C, levels - 1] do not fall with k; those that no sum reaches are `bound` + 1, those that every
    sum reaches -`bound`, with |S| <= `bound`.
    """

    signs: np.ndarray
    thresholds: np.ndarray
    low: int
    bound: int

    def codes(self, sums: np.ndarray, axis: int) -> np.ndarray:
        """int64 codes of `sums` with the channels along `axis`."""
        last = np.moveaxis(sums, axis, -1) * self.signs
        found: np.ndarray = self.low + (last[..., None] >= self.thresholds).sum(axis=-1)
        return np.moveaxis(found, -1, axis)


def steps(graph: Graph, layer: Node, chain: Sequence[Node]) -> Steps:
    """The thresholds of `chain` behind `layer`; VerificationError where there are none."""
    if why := no_steps(graph, layer, chain):
        raise VerificationError(f"no thresholds: {why}")
    meaning = _Meaning(graph, layer, chain)
    bound, count = meaning.bound, (1 << meaning.out.code_bits) - 1
    low = _lowest(meaning.out)
    ends = meaning.codes(np.array([-bound, bound])[:, None] * np.ones(meaning.channels, np.int64))
    signs = np.where(ends[0] > ends[1], -1, 1)
    goals = low + 1 + np.arange(count)[:, None]
    below = np.full((count, meaning.channels), -bound - 1, np.int64)  # reaches no goal yet
    above = np.full((count, meaning.channels), bound + 1, np.int64)  # reaches it, or lies outside
    while (above - below > 1).any():
        middle = np.clip((above + below) >> 1, -bound, bound)
        reached = meaning.codes(middle * signs) >= goals
        settled = above - below <= 1
        above = np.where(reached & ~settled, middle, above)
        below = np.where(reached | settled, below, middle)
    return Steps(signs, np.ascontiguousarray(above.T), low, bound)


def _lowest(out: Grid) -> int:
    """The smallest code."""
    return out.low if isinstance(out, Int) else 0 if out.code_bits == 1 else -1


class _Meaning:
    """What a layer's sums become, by the integer interpreter."""

    def __init__(self, graph: Graph, layer: Node, chain: Sequence[Node]) -> None:
        self.graph, self.layer, self.chain = graph, layer, chain
        x, w = (graph.types[v] for v in layer.operands[:2])
        assert x.grid is not None and w.grid is not None
        self.scale, self.shift = sum_scale(layer, graph.types), digits(layer, graph.types)
        most = [max(abs(end) for end in form.reach) for form in (x.grid, w.grid)]
        self.channels = w.shape[0]
        self.bound = w.size // max(w.shape[0], 1) * most[0] * most[1]
        last = graph.types[chain[-1].name if chain else layer.name].grid
        assert last is not None
        self.out = last
        constants = IntegerInterpreter(graph)
        bias = layer.operands[2:]
        coded = bool(bias) and graph.types[bias[0]].grid is not None
        self.begin = constants.code(bias[0]) if coded else np.int64(0)
        self.offset = constants.offset(layer)

    def codes(self, sums: np.ndarray) -> np.ndarray:
        """int64 [n, C] codes of `sums` [n, C]."""
        values = [self.layer.name, *(v for node in self.chain for v in node.outputs)]
        axis, rank = channel_axis(self.graph, self.layer), self.graph.types[self.layer.name].rank
        shape = (len(sums), *(self.channels if i == axis else 1 for i in range(1, rank)))
        types = dict(self.graph.types)
        types |= {value: replace(types[value], shape=shape) for value in values}
        part = replace(self.graph, types=types, nodes=tuple(self.chain))
        run = IntegerInterpreter(part)
        form = types[self.layer.name].grid
        acc = (sums.reshape(shape) << self.shift) + _laid(self.begin, rank, axis)
        first = accumulated(acc, self.scale, form, axis, self.offset)
        if form is None:
            run.floats[self.layer.name] = to_torch(first)
        else:
            run.codes[self.layer.name] = first
        run.compute()
        found: np.ndarray = run.code(values[-1]).reshape(len(sums), self.channels)
        return found


def _laid(vector: np.ndarray | np.int64, rank: int, axis: int) -> np.ndarray:
    array = np.asarray(vector)
    return array.reshape([-1 if i == axis else 1 for i in range(rank)]) if array.ndim else array
