"""What of a graph's layer its engines need to know: numbers alone."""

from dataclasses import dataclass
from math import gcd, prod

from codesign.ir.encodings.binary import Binary
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.pool import MaxPool
from codesign.targets.xnor.engine import Map, Mvtu, Style, Window
from codesign.targets.xnor.maps import maps
from codesign.targets.xnor.stages import Stage, stages


@dataclass(frozen=True)
class Fold:
    """How far a layer is laid out in space: `pe` rows, `simd` columns, memory of the weights."""

    pe: int = 1
    simd: int = 1
    style: Style = "distributed"


@dataclass(frozen=True)
class Layer:
    """A conv or linear layer: its matrix, windows (None: its input as it comes), and widths."""

    name: str
    rows: int
    columns: int
    vectors: int
    map: Map
    window: Window | None
    weight_bits: int
    input_bits: int
    signs: bool
    levels: tuple[int, ...]
    sums: int
    behind: int = 0  # elements an image that the slowest pool behind it takes, at `pe` a cycle

    def masked(self, simd: int) -> int:
        """Lanes for which a bit says that they are padding, 0 where nothing is."""
        padded = self.window is not None and any(map(any, self.window.pads))
        return self.lanes(simd) if padded else 0

    def lanes(self, simd: int) -> int:
        """Lanes of the window in front of it: of those of a step as many as divide the channels."""
        return gcd(simd, self.map.channels)

    def windowed(self, simd: int) -> Window | None:
        """The sliding window for `simd` columns a step."""
        if self.window is None:
            return None
        w = self.window
        return Window(
            f"{self.name}.window", (), (), w.map, w.kernel, w.strides, w.pads, w.dilations,
            self.lanes(simd), self.input_bits,
        )  # fmt: skip

    def mvtu(self, fold: Fold, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> Mvtu:
        """Its engine."""
        return Mvtu(
            self.name, inputs, outputs, self.rows, self.columns, fold.pe, fold.simd, self.vectors,
            self.weight_bits, self.input_bits, self.signs, self.levels, self.sums, fold.style,
            self.masked(fold.simd),
        )  # fmt: skip


def layer_of(graph: Graph, stage: Stage) -> Layer:
    """The layer of a stage of kind "layer"."""
    node = stage.anchor
    x, w = (graph.types[v] for v in node.operands[:2])
    assert x.grid is not None and w.grid is not None
    source, result = maps(graph)[node.operands[0]], maps(graph)[node.name]
    columns = prod(w.shape[1:])
    levels = [_bits(graph, head.value) for head in stage.heads]
    most = columns * prod(max(abs(end) for end in form.reach) for form in (x.grid, w.grid))
    return Layer(
        node.name,
        w.shape[0],
        columns,
        result.pixels,
        source,
        _window(node.op, w.shape, source) if isinstance(node.op, Conv) else None,
        w.grid.code_bits,
        x.grid.code_bits,
        isinstance(x.grid, Binary) and isinstance(w.grid, Binary),
        (*levels, 0) if stage.sums else tuple(levels),
        most.bit_length() + 1,
        behind(graph, stage),
    )


def behind(graph: Graph, stage: Stage) -> int:
    """Elements an image of the slowest pool up to the next layer: it has the lanes of this one."""
    found = 0 if stage.pool is None else _pooled(graph, stage.pool, stage.anchor.name)
    left, known = [head.value for head in stage.heads], stages(graph)
    while left:
        value = left.pop()
        for reader in graph.consumers[value]:
            other = known.get(reader.name)
            if not isinstance(other, Stage) or other.kind == "layer" or other is stage:
                continue
            if other.kind == "pool":
                found = max(found, _pooled(graph, reader, value))
            left += [head.value for head in other.heads]
    return found


def _pooled(graph: Graph, pool: Node, value: str) -> int:
    """Elements that a maximum over windows of `value` reads."""
    op, map_ = pool.op, maps(graph)[value]
    taps = prod(op.kernel) if isinstance(op, MaxPool) else 1
    return max(map_.count, taps * maps(graph)[pool.name].count)


def _bits(graph: Graph, value: str) -> int:
    form = graph.types[value].grid
    assert form is not None
    return form.code_bits


def _window(op: Conv, weight: tuple[int, ...], source: Map) -> Window | None:
    """The window of a convolution, None where each pixel is one."""

    def two(values: tuple[int, ...], fill: int) -> tuple[int, int]:
        return (fill, values[0]) if len(values) == 1 else (values[0], values[1])

    kernel, strides = two(weight[2:], 1), two(op.strides, 1)
    pads = ((0, 0), op.pads[0]) if len(op.pads) == 1 else (op.pads[0], op.pads[1])
    if kernel == (1, 1) and strides == (1, 1) and not any(map(any, pads)):
        return None
    return Window("", (), (), source, kernel, strides, pads, two(op.dilations, 1))
