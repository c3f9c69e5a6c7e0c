"""What each engine of a placed program holds, as words of its memories."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from codesign.interpret.steps import Steps
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.targets.xnor.area import cheapest
from codesign.targets.xnor.content import Matrix, Scaling, contents
from codesign.targets.xnor.engine import (
    Add,
    Design,
    Engine,
    Mvtu,
    Pool,
    Reduce,
    Stream,
    Table,
    Window,
)
from codesign.targets.xnor.rtl.form import Form, form_of, weight_bits
from codesign.targets.xnor.rtl.merge import Order
from codesign.targets.xnor.rtl.mvtu import MatrixWords
from codesign.targets.xnor.rtl.parts import pack
from codesign.targets.xnor.rtl.scale import Scaled
from codesign.targets.xnor.rtl.search import Search
from codesign.targets.xnor.stages import Stage, leaves_sums
from codesign.targets.xnor.whole import folds_of

if TYPE_CHECKING:
    from codesign.targets.xnor.target import Finn

Held = MatrixWords | Order | Scaled | tuple[np.ndarray, ...] | None


@dataclass(frozen=True)
class Contents:
    """By engine: what it holds; which of its memory lies in blocks of RAM."""

    held: dict[str, Held]
    blocks: dict[str, bool]


def contents_of(placed: Program, target: "Finn", design: Design) -> Contents:
    """What the engines of `design` hold."""
    graph, folds, chosen = placed.graph, folds_of(placed), target.stages(placed)
    known = contents(graph, chosen, folds)
    stages = {stage.anchor.name: stage for stage in chosen}
    held: dict[str, Held] = {}
    streams = design.by_stream
    for engine, owner in zip(design.engines, design.owners, strict=True):
        if owner:
            held[engine.name] = _held(graph, stages[owner], engine, known.get(owner), streams)
    return Contents(held, {e.name: _in_blocks(e) for e in design.engines})


def _in_blocks(engine: Engine) -> bool:
    """Whether what an engine keeps lies in blocks of RAM."""
    match engine:
        case Window():
            depth = engine.rows * engine.map.width * engine.chunks
            return cheapest(depth, engine.lanes * engine.bits, 2).bram18 > 0
        case Pool():
            words = max(1, engine.out[1] * (engine.map.channels // engine.lanes))
            return cheapest(words, engine.lanes * engine.bits, 2).bram18 > 0
        case Reduce():
            wide = engine.bits + (engine.taps.bit_length() if engine.what == "mean" else 0)
            return cheapest(engine.chunks, engine.lanes * wide, 2).bram18 > 0
    return False


def _held(
    graph: Graph, stage: Stage, engine: Engine, known: object, streams: Mapping[str, Stream]
) -> Held:
    match engine:
        case Mvtu():
            assert isinstance(known, Matrix)
            return _matrix(graph, stage, engine, known)
        case Pool() | Reduce(what="max"):
            return _order(graph, stage, known)
        case Add() | Reduce():
            assert isinstance(known, Scaling)
            values = [v for v in stage.anchor.operands if v not in graph.constants]
            bits = [streams[name].bits for name in engine.inputs]
            return Scaled(known, tuple(map(partial(_addend, graph), values, bits)))
        case Table():
            assert isinstance(known, tuple)
            return known
    return None


def _addend(graph: Graph, value: str, bits: int) -> Form:
    """How what is added is read: codes, or sums of `bits`."""
    return Form(bits, True) if leaves_sums(graph, value) else form_of(graph.types[value].grid)


def _order(graph: Graph, stage: Stage, known: object) -> Order:
    """How a pool compares codes: its own, or those of the layer in front of it."""
    form = form_of(graph.types[stage.heads[0].value].grid)
    if not isinstance(known, Matrix):
        return Order(form, (False,))
    falling = (known.steps[0].signs < 0) & stage.turned
    return Order(form, tuple(bool(f) for f in falling))


def _matrix(graph: Graph, stage: Stage, engine: Mvtu, known: Matrix) -> MatrixWords:
    x, w = (graph.types[v].grid for v in stage.anchor.operands[:2])
    bits = weight_bits(w)
    codes = known.weights > 0 if bits == 1 else known.weights
    words = tuple(pack(word.ravel(), bits) for word in codes.astype(np.int64))
    searches: list[Search | None] = [
        _search(engine, steps, level)
        for steps, level in zip(known.steps, engine.levels, strict=False)
    ]
    searches += [None] * (len(engine.levels) - len(searches))
    return MatrixWords(
        words, bits, bits == 1, form_of(x), tuple(searches), engine.style == "block",
        _in_blocks_kept(engine),
    )  # fmt: skip


def _in_blocks_kept(engine: Mvtu) -> bool:
    word = engine.simd * engine.input_bits
    word += engine.simd // engine.masked if engine.masked else 0
    return cheapest(engine.steps, word, 2).bram18 > 0


def _search(engine: Mvtu, steps: Steps, bits: int) -> Search:
    """The thresholds of an output, by comparison."""
    folds, pe = engine.folds, engine.pe
    width = max(engine.sums, int(steps.thresholds.max(initial=0)).bit_length() + 1)
    least = steps.thresholds.reshape(folds, pe, -1)
    turned = (steps.signs < 0).reshape(folds, pe)
    middle = (1 << (bits - 1)) - 1
    first = tuple(
        pack(least[f, :, middle], width) | pack(turned[f], 1) << (pe * width) for f in range(folds)
    )
    later = tuple(
        tuple(_level(least[:, p], bits, level, width) for p in range(pe))
        for level in range(1, bits)
    )
    blocks = [cheapest(folds, pe * (engine.sums + 1)).bram18 > 0]
    blocks += [cheapest(folds << i, engine.sums).bram18 > 0 for i in range(1, bits)]
    return Search(bits, steps.low, width, pe, first, later, tuple(blocks))


def _level(least: np.ndarray, bits: int, level: int, width: int) -> tuple[int, ...]:
    """Of a row, [fold, prefix]: the threshold between codes that begin with prefix 0 and 1."""
    size = 1 << (bits - level)
    at = [(prefix * size) + size // 2 - 1 for prefix in range(1 << level)]
    return tuple(pack([t], width) for t in least[:, at].ravel())
