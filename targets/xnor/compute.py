"""What engines compute, word by word in the order of their steps; bit-exact, without time."""

from math import prod

import numpy as np

from codesign.ir.graph import Graph
from codesign.targets.xnor.content import Matrix, Scaling
from codesign.targets.xnor.design import flat
from codesign.targets.xnor.engine import Mvtu, Pool, Window
from codesign.targets.xnor.events import taps
from codesign.targets.xnor.layer import Fold, layer_of
from codesign.targets.xnor.maps import maps, restored, streamed
from codesign.targets.xnor.stages import Stage

Array = np.ndarray


def windows(engine: Window, words: Array) -> tuple[Array, Array]:
    """[N, words out, lanes] of [N, words in, lanes] through the ring, and which are padding."""
    index = taps(engine)
    ring = engine.rows * engine.map.width * engine.chunks
    kept = np.zeros((words.shape[0], ring, words.shape[2]), words.dtype)
    out = np.zeros((words.shape[0], len(index), words.shape[2]), words.dtype)
    per_row, filled = engine.read // max(1, engine.out[0]), 0
    for row in range(engine.out[0]):
        part = slice(row * per_row, (row + 1) * per_row)
        want = index[part]
        high = (row * engine.strides[0] - engine.pads[0][0] + engine.rows) * engine.map.width
        until = min(engine.written, max(0, high) * engine.chunks)
        if until > filled:
            at = np.arange(filled, until)
            kept[:, at % ring] = words[:, filled:until]
            filled = until
        out[:, part] = np.where((want >= 0)[None, :, None], kept[:, want % ring], 0)
    return out, index < 0


def matrix_unit(engine: Mvtu, held: Matrix, words: Array) -> Array:
    """int64 sums [N, vectors, rows] of [N, vectors * steps, simd] multiples, step by step.

    Lanes that are padding come as multiples of 0.
    """
    batch = words.shape[0]
    given = words.reshape(batch * engine.vectors, engine.steps, engine.simd)
    weights = held.weights.reshape(engine.folds, engine.steps, engine.pe, engine.simd)
    sums = np.zeros((batch * engine.vectors, engine.rows))
    for step in range(engine.steps):
        now = weights[:, step].reshape(engine.rows, engine.simd).astype(np.float64)
        sums += given[:, step].astype(np.float64) @ now.T
    found = sums.astype(np.int64)
    most = int(np.abs(found).max(initial=0))
    assert most < 1 << (engine.sums - 1), f"{engine.name}: {most} needs over {engine.sums} bits"
    return found.reshape(batch, engine.vectors, engine.rows)


def pooled(engine: Pool, words: Array, falling: Array) -> Array:
    """[N, pixels, channels] of windows that do not overlap; the smallest of `falling` channels."""
    (high, wide), (rows, columns) = engine.kernel, engine.out
    shape = (words.shape[0], engine.map.height, engine.map.width, engine.map.channels)
    image = words.reshape(shape)[:, : rows * high, : columns * wide]
    cut = image.reshape(shape[0], rows, high, columns, wide, shape[3])
    found: Array = np.where(falling, cut.min(axis=(2, 4)), cut.max(axis=(2, 4)))
    return found.reshape(shape[0], rows * columns, shape[3])


class Computer:
    """The engines of a stage on the codes of its inputs."""

    def __init__(self, graph: Graph, stage: Stage, fold: Fold | None, held: object) -> None:
        self.graph, self.stage, self.fold, self.held = graph, stage, fold, held

    def run(self, codes: list[Array]) -> dict[str, Array]:
        """Codes by value of the codes of the variables read; a layer's sums by its own name."""
        match self.stage.kind:
            case "layer":
                return self._layer(codes[0])
            case "pool":
                return self._alone(self._pool(self._streamed(0, codes[0]), None))
            case "mean":
                return self._alone(self._mean(codes[0]))
            case "add":
                return {self.stage.anchor.name: self._scaled(codes)}
            case "table":
                return self._table(codes[0])
            case "wire":
                name = self.stage.anchor.name
                return {name: codes[0].reshape(self.graph.types[name].shape)}

    def _streamed(self, role: int, codes: Array) -> Array:
        value = self._values()[role]
        return streamed(codes, maps(self.graph)[value])

    def _values(self) -> list[str]:
        return [v for v in self.stage.anchor.operands if v not in self.graph.constants]

    def _multiples(self, role: int, codes: Array) -> Array:
        form = self.graph.types[self._values()[role]].grid
        assert form is not None
        return form.multiples(codes)

    def _alone(self, found: Array) -> dict[str, Array]:
        name = self.stage.heads[0].value
        return {name: restored(found, maps(self.graph)[name], self.graph.types[name].shape)}

    def _layer(self, codes: Array) -> dict[str, Array]:
        graph, stage, held = self.graph, self.stage, self.held
        assert isinstance(held, Matrix) and self.fold is not None
        layer = layer_of(graph, stage)
        engine, window = layer.mvtu(self.fold), layer.windowed(self.fold.simd)
        given = self._streamed(0, self._multiples(0, codes))
        if window is not None:
            words = given.reshape(given.shape[0], -1, window.lanes)
            given, _ = windows(window, words)
        sums = matrix_unit(engine, held, given.reshape(given.shape[0], -1, engine.simd))
        return self.finished(sums, stage.anchor.name)

    def finished(self, sums: Array, name: str) -> dict[str, Array]:
        """Codes of a layer's heads from its sums [N, vectors, rows], and the sums if they leave."""
        graph, stage, held = self.graph, self.stage, self.held
        assert isinstance(held, Matrix)
        found: dict[str, Array] = {}
        for number, head in enumerate(stage.heads):
            steps = held.steps[number]
            made, source = steps.codes(sums, 2), name
            if stage.pool is not None:
                falling = (steps.signs < 0) & stage.turned
                made, source = self._pool(made, falling), stage.pool.name
            kind = graph.types[head.value]
            found[head.value] = restored(made, maps(graph)[source], kind.shape)
        if stage.sums:
            found[name] = restored(sums, maps(graph)[name], graph.types[name].shape)
        return found

    def _pool(self, words: Array, falling: Array | None) -> Array:
        graph, stage = self.graph, self.stage
        node = stage.anchor if stage.pool is None else stage.pool
        kernel, strides, pads, dilations = flat(node.op)  # type: ignore[arg-type]
        map_ = maps(graph)[stage.anchor.operands[0] if stage.pool is None else stage.anchor.name]
        down = np.zeros(map_.channels, bool) if falling is None else falling
        if kernel == strides and not any(map(any, pads)) and dilations == (1, 1):
            return pooled(Pool("", (), (), map_, kernel), words, down)
        window = Window("", (), (), map_, kernel, strides, pads, dilations, map_.channels)
        taken, padding = windows(window, words)
        count = prod(kernel)
        cut = taken.reshape(words.shape[0], -1, count, map_.channels)
        out = padding.reshape(1, -1, count, 1)
        ends = np.iinfo(np.int64)
        low = np.where(out, ends.max, cut).min(axis=2)
        found: Array = np.where(down, low, np.where(out, ends.min, cut).max(axis=2))
        return found

    def _mean(self, codes: Array) -> Array:
        assert isinstance(self.held, Scaling)
        sums = self._streamed(0, self._multiples(0, codes)).sum(axis=1, keepdims=True)
        return self.held([sums], 2)

    def _scaled(self, codes: list[Array]) -> Array:
        assert isinstance(self.held, Scaling)
        map_ = maps(self.graph)[self.stage.anchor.name]
        terms = [self._multiples(role, c) for role, c in enumerate(codes)]
        return self.held(terms, codes[0].ndim - 1 if map_.last else 1)

    def _table(self, codes: Array) -> dict[str, Array]:
        tables = self.held
        assert isinstance(tables, tuple)
        found = {}
        for head, table in zip(self.stage.heads, tables, strict=True):
            keys = np.zeros(1, np.int64)
            if len(table) > 1:
                keys = np.arange(len(table)).reshape(1, -1, *([1] * (codes.ndim - 2)))
            index = codes & (table.shape[1] - 1)
            found[head.value] = table[keys, index]
        return found
