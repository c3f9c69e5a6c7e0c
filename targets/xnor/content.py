"""What engines hold: weights in the order in which they are read, thresholds, tables.

A matrix unit's weights are one memory: word `fold * steps + step` has the weights of all its rows
and columns of that step, those of row `fold * pe + p` and column `step * simd + s` at [p, s].
Columns are in the order in which inputs are streamed: taps (ky, kx), in them channels; a linear
layer behind a map has its columns put in the order of the map. Thresholds are a memory of a word a
fold: [fold, p, k], not falling with k, and whether the channel's sum counts negated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codesign.analysis.codes import digits, scale_ratio
from codesign.interpret.integer import IntegerInterpreter, along
from codesign.interpret.steps import Steps, steps
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.fixedpoint import fixed_point
from codesign.ir.graph import Graph, Node
from codesign.targets.xnor.design import keys_of
from codesign.targets.xnor.layer import Fold
from codesign.targets.xnor.maps import maps, order
from codesign.targets.xnor.pulled import pulled
from codesign.targets.xnor.stages import Stage, leaves_sums

Array = np.ndarray


@dataclass(frozen=True)
class Matrix:
    """Of a layer: `weights` int64 [words, pe, simd] in multiples of their scale, `steps` a head."""

    weights: Array
    steps: tuple[Steps, ...]

    def thresholds(self, head: int, pe: int) -> Array:
        """int64 [folds, pe, levels - 1] of a head."""
        found = self.steps[head].thresholds
        return found.reshape(-1, pe, found.shape[-1])

    def negated(self, head: int, pe: int) -> Array:
        """bool [folds, pe] of a head: whether the sum counts negated."""
        return (self.steps[head].signs < 0).reshape(-1, pe)


def matrix_of(graph: Graph, stage: Stage, fold: Fold) -> Matrix:
    """What the matrix unit of a layer's stage holds."""
    node = stage.anchor
    plain = columns_of(graph, node)
    rows, columns = plain.shape
    shape = (rows // fold.pe, fold.pe, columns // fold.simd, fold.simd)
    weights = plain.reshape(shape).transpose(0, 2, 1, 3).reshape(-1, fold.pe, fold.simd)
    source = graph if stage.pool is None else pulled(graph, stage.pool)
    found = tuple(
        steps(source, node, [source.by_name[n.name] for n in head.chain]) for head in stage.heads
    )
    return Matrix(np.ascontiguousarray(weights), found)


def columns_of(graph: Graph, node: Node) -> Array:
    """int64 [rows, columns] of a layer's weights, columns as inputs are streamed."""
    weights = IntegerInterpreter(graph).multiples(node.operands[1])
    if node.kind == "conv":
        taps = np.moveaxis(weights, 1, -1)
        return taps.reshape(weights.shape[0], -1)
    map_ = maps(graph)[node.operands[0]]
    return weights[:, order(map_)] if weights.shape[1] == map_.count else weights


def table_of(graph: Graph, stage: Stage) -> tuple[Array, ...]:
    """int64 [keys, 2^bits] a head: the code of each stored code, by the integer meaning itself.

    Stored codes are read as unsigned: entry c is for code c, or c - 2^bits where codes are signed.
    """
    value = next(v for v in stage.anchor.operands if v not in graph.constants)
    form = graph.types[value].grid
    assert form is not None
    index = np.arange(1 << form.code_bits)
    codes = np.where(index > _highest(form), index - (1 << form.code_bits), index)
    if isinstance(form, Ternary):
        codes = np.clip(codes, -1, 1)
    keys = keys_of(graph, stage)
    found = _looked_up(graph, stage, value, codes, keys)
    return tuple(array.T.copy() for array in found)


def _highest(form: Grid) -> int:
    """The largest code."""
    return form.high if isinstance(form, Int) else 1


def _looked_up(graph: Graph, stage: Stage, value: str, codes: Array, keys: int) -> list[Array]:
    """[codes, keys] a head."""
    rank = graph.types[value].rank
    shape = tuple(
        len(codes) if axis == 0 else keys if axis == 1 else 1 for axis in range(max(rank, 2))
    )
    names = [value, *(v for n in stage.nodes for v in n.outputs)]
    types = dict(graph.types)
    types |= {v: replace(types[v], shape=shape) for v in names}
    run = IntegerInterpreter(replace(graph, types=types, nodes=stage.nodes))
    laid = codes.reshape(-1, *([1] * (len(shape) - 1)))
    run.codes[value] = np.broadcast_to(laid, shape).astype(np.int64)
    run.compute()
    return [run.code(head.value).reshape(len(codes), keys) for head in stage.heads]


@dataclass(frozen=True)
class Scaling:
    """(sum of multiples * multiplier + offset) >> shift, then plus zero, clamped to low .. high.

    Multipliers, offset (half a unit, and coded biases of layers whose sums are added) and shift are
    scalars, or vectors over the channels.
    """

    multipliers: tuple[Array, ...]
    offset: Array
    shift: Array
    zero: int
    low: int
    high: int

    def __call__(self, terms: Sequence[Array], axis: int) -> Array:
        """Codes of sums of multiples whose channels lie along `axis`."""
        rank = terms[0].ndim
        total = along(self.offset, rank, axis)
        for term, multiplier in zip(terms, self.multipliers, strict=True):
            total = total + term * along(multiplier, rank, axis)
        shifted = total >> along(self.shift, rank, axis)
        codes: Array = np.clip(shifted + self.zero, self.low, self.high)
        return codes


def scaling_of(graph: Graph, stage: Stage) -> Scaling:
    """The multipliers of a sum of two maps, or of a mean."""
    node = stage.anchor
    out = graph.types[node.name].grid
    assert isinstance(out, Int)
    count = 1
    if stage.kind == "mean":
        count = maps(graph)[node.operands[0]].pixels
    forms = [graph.types[v].grid for v in node.operands]
    ratios = [scale_ratio(f, out) / count for f in forms if isinstance(f, Int)]
    fixed = fixed_point(ratios)
    shift = fixed.shift.astype(np.int64)
    offset, multipliers = np.int64(1) << (shift - 1), []
    for value, multiplier in zip(node.operands, fixed.multipliers, strict=True):
        factor = multiplier.astype(np.int64)
        if leaves_sums(graph, value):
            layer = graph.producers[value]
            if len(layer.operands) > 2:
                offset = offset + factor * IntegerInterpreter(graph).code(layer.operands[2])
            factor = factor << digits(layer, graph.types)
        multipliers.append(factor)
    return Scaling(
        tuple(multipliers), np.asarray(offset), shift, int(out.zero.array), out.low, out.high
    )


Contents = Mapping[str, Matrix | tuple[Array, ...] | Scaling]


def contents(graph: Graph, chosen: Sequence[Stage], folds: Mapping[str, Fold]) -> Contents:
    """What the engines of each stage hold, by the name of its anchor."""
    found: dict[str, Matrix | tuple[Array, ...] | Scaling] = {}
    for stage in chosen:
        name = stage.anchor.name
        match stage.kind:
            case "layer":
                found[name] = matrix_of(graph, stage, folds[name])
            case "table":
                found[name] = table_of(graph, stage)
            case "add" | "mean":
                found[name] = scaling_of(graph, stage)
    return found
