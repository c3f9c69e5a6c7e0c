"""A graph of floats as one of codes, whatever its numbers: types alone decide what a target takes.

All activations share one encoding, so that what only moves them moves codes. Weights are drawn anew
in codes: as large as their width and sums of 32 bits allow.
"""

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Decode, Encode
from codesign.mapping.kernel import Widths

LAYERS = frozenset({"conv", "linear"})
CODED = LAYERS | {"relu", "add", "concat", "max_pool", "reduce_mean", "flatten"}
MOST_SUM = (1 << (ACCUMULATOR_BITS - 1)) - 1
MOST_BIAS = 500
SCALE = 2.0**-3


def coded(graph: Graph, widths: Widths) -> Graph:
    """`graph` with layers on codes of `widths`."""
    return _Coder(graph, widths).run()


def _activation(width: int) -> Int:
    """Unsigned codes around a zero point in their middle."""
    zero = 1 << (width - 1)
    return Int(width, Const(SCALE, "float32"), Const(zero, "int32"), signed=False)


class _Coder:
    """Copies a graph node by node; `codes` and `plain` are the two forms of each old value."""

    def __init__(self, graph: Graph, widths: Widths) -> None:
        self.graph, (self.width, bits) = graph, widths
        self.form = _activation(bits)
        self.builder = Builder(graph.name)
        self.random = np.random.default_rng(0)
        self.codes: dict[str, str] = {}
        self.plain: dict[str, str] = {}

    def run(self) -> Graph:
        for value in self.graph.inputs:
            kind = self.graph.types[value]
            self.plain[value] = self.builder.input(value, kind.shape, kind.dtype)
        for node in self.graph.nodes:
            self._copy(node)
        outputs = [self._decoded(value) for value in self.graph.outputs]
        return self.builder.graph(*outputs, output_names=self.graph.output_names)

    def _copy(self, node: Node) -> None:
        if node.kind not in CODED:
            inputs = [None if v is None else self._decoded(v) for v in node.inputs]
            results = self.builder.results(node.op, *inputs, names=node.outputs)
            self.plain |= dict(zip(node.outputs, results, strict=True))
            return
        if node.kind in LAYERS:
            made = self._layer(node)
        else:
            made = self.builder.op(node.op, *map(self._encoded, node.operands), name=node.name)
        self.codes[node.name] = self._typed(made, self.form)

    def _layer(self, node: Node) -> str:
        """A layer with new weights and bias."""
        x, weight, *bias = node.operands
        shape = self.graph.types[weight].shape
        count = int(np.prod(shape[1:]))
        array = self._weights(shape, count)
        # what comes out is as spread as what went in
        scale = 1.0 / np.maximum(np.sqrt((array.astype(np.float64) ** 2).sum(1)), 1.0)
        array = array.reshape(shape)
        form = Int(self.width, Const(scale.astype(np.float32), "float32"), axis=0)
        inputs = [self._encoded(x), self._constant(weight, array, form)]
        if bias:
            sums = Const((scale * SCALE).astype(np.float32), "float32")
            begin = self.random.integers(-MOST_BIAS, MOST_BIAS + 1, shape[0])
            inputs.append(self._constant(bias[0], begin, Int(ACCUMULATOR_BITS, sums, axis=0)))
        return self.builder.op(node.op, *inputs, name=node.name)

    def _weights(self, shape: tuple[int, ...], count: int) -> np.ndarray:
        """Codes [shape[0], count] whose sums of products fit, one of each row the largest."""
        high = max(1, (1 << (self.width - 1)) - 1)
        budget = (MOST_SUM - MOST_BIAS) // (1 << (self.form.width - 1))
        most = max(1, min(high, (budget - high) // max(1, count - 1)))
        array = self.random.integers(-most, most + 1, (shape[0], count))
        array[:, 0] = high
        return array

    def _constant(self, name: str, codes: np.ndarray, form: Int) -> str:
        values = form.decode({"values": codes}, codes.shape)
        return self.builder.constant(Const.share(values.astype(np.float32)), name, (form,))

    def _encoded(self, value: str) -> str:
        if value not in self.codes:
            made = self.builder.op(Encode(), self.plain[value], name=f"{value}.codes")
            self.codes[value] = self._typed(made, self.form)
        return self.codes[value]

    def _decoded(self, value: str) -> str:
        if value not in self.plain:
            if value in self.graph.constants:
                const, kind = self.graph.constants[value], self.graph.types[value]
                self.plain[value] = self.builder.constant(const, value, kind.encodings)
            else:
                self.plain[value] = self.builder.op(
                    Decode(), self.codes[value], name=f"{value}.plain"
                )
        return self.plain[value]

    def _typed(self, value: str, form: Int) -> str:
        """Give a new value an encoding."""
        self.builder.types[value] = self.builder.types[value].with_encoding(form)
        return value
