"""Writing the graph of a quantization plan: types, coded weights, encode and decode at borders."""

from collections.abc import Mapping

import numpy as np

from codesign.analysis.codes import sum_scale
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encoding import project
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Decode, Encode
from codesign.passes.quantize import scales
from codesign.passes.quantize.forms import Forms, Weights
from codesign.passes.quantize.regions import Regions, through


def rewrite(
    graph: Graph,
    regions: Regions,
    encodings: Mapping[str, Int],
    forms: Forms,
    weights: Weights,
) -> Graph:
    """`graph` with activation `encodings`, and those of `weights` for `regions.anchors`.

    `forms` say what of a weight is rounded, and the bias that goes with it.
    """
    return _Rewriter(graph, regions, encodings, forms, weights).run()


class _Rewriter:
    """Copies the graph node by node. `now` maps old values to new ones, encoded if they are."""

    def __init__(
        self,
        graph: Graph,
        regions: Regions,
        encodings: Mapping[str, Int],
        forms: Forms,
        weights: Weights,
    ) -> None:
        self.graph, self.regions, self.encodings = graph, regions, encodings
        self.forms, self.weights = forms, weights
        self.builder = Builder(graph.name)
        self.now: dict[str, str] = {}
        self.plain: dict[str, str] = {}
        self.coded: dict[tuple[str, Int, str], str] = {}

    def run(self) -> Graph:
        for value in self.graph.inputs:
            kind = self.graph.types[value]
            self.now[value] = self.builder.input(value, kind.shape, kind.dtype)
            self.builder.types[value] = kind
            if value in self.encodings:
                self.encode(value)
        for node in self.graph.nodes:
            self.copy(node)
        outputs = [self.decoded(value) for value in self.graph.outputs]
        return self.builder.graph(*outputs, output_names=self.graph.output_names)

    def encode(self, value: str) -> None:
        """Put an encode node behind the plain new value of `value`."""
        self.plain[value] = self.now[value]
        self.now[value] = self.builder.op(Encode(), self.now[value], name=f"{value}.codes")
        self.retype(self.now[value], self.encodings[value])

    def retype(self, value: str, encoding: Int) -> None:
        """Give a new value an element encoding."""
        self.builder.types[value] = self.builder.types[value].with_encoding(encoding)

    def decoded(self, value: str) -> str:
        """A new value equal to `value` that is stored plainly, or as it was in the old graph."""
        if self.value(value) in self.builder.constants:
            return self.now[value]
        if self.graph.types[value].element is not None:
            return self.now[value]
        if self.builder.types[self.now[value]].integer is None:
            return self.now[value]
        if value not in self.plain:
            self.plain[value] = self.builder.op(Decode(), self.now[value], name=f"{value}.plain")
        return self.plain[value]

    def value(self, value: str) -> str:
        """The new value of `value`; constants are copied when first read."""
        if value not in self.now:
            kind = self.graph.types[value]
            const = self.graph.constants[value]
            self.now[value] = self.builder.constant(const, value, kind.encodings)
        return self.now[value]

    def copy(self, node: Node) -> None:
        """Copy one node with its operands in the form it reads."""
        if node.name in self.regions.anchors:
            return self.layer(node)
        if node.name in self.regions.few:
            return self.few(node)
        coded = node.name in self.encodings
        mixes = node.op.elementwise or (coded and through(node))
        form = self.value if mixes else self.decoded
        inputs = [None if v is None else form(v) for v in node.inputs]
        outputs = self.builder.results(node.op, *inputs, names=node.outputs)
        self.now |= dict(zip(node.outputs, outputs, strict=True))
        for value in node.outputs:
            old = self.graph.types[value]
            if old.encodings:
                self.builder.types[self.now[value]] = old
            if value in self.encodings and mixes:
                self.retype(self.now[value], self.encodings[value])
            elif value in self.encodings:
                self.encode(value)
        return None

    def layer(self, node: Node) -> None:
        """Copy a layer with weight and bias in codes."""
        x, w = node.operands[:2]
        bias = node.operands[2] if len(node.operands) > 2 else None
        coded = self.encodings[x]
        form = self.weights(node, coded)
        inputs = [self.value(x), self.constant(w, self.forms.content(node, form, coded), form)]
        offsets = self.forms.corrected(node, form, coded)
        if offsets is not None and bias is not None:
            wide = scales.accumulator(coded, form, 0)
            inputs.append(self.constant(bias, offsets, wide, node.name))
        value = self.builder.op(node.op, *inputs, name=node.name)
        self.now[node.name] = value
        if node.name in self.regions.accumulators:
            axis = 1 if node.kind == "conv" else self.graph.types[node.name].rank - 1
            self.retype(value, scales.accumulator(coded, form, axis))
        elif node.name in self.encodings:
            self.retype(value, self.encodings[node.name])

    def few(self, node: Node) -> None:
        """Copy a layer of few bits; where its result is codes, its bias is too, in finer units."""
        inputs = [self.value(v) for v in node.operands]
        coded = node.name in self.regions.accumulators or node.name in self.encodings
        bias = self.graph.constants.get(node.operands[2]) if len(inputs) > 2 else None
        types = self.graph.types
        if coded and bias is not None and types[node.operands[2]].element is None:
            x, w = (types[v] for v in node.operands[:2])
            fine = scales.fine_bias(bias.array, x, w)
            inputs[2] = self.constant(node.operands[2], bias.array, fine, node.name)
        value = self.builder.op(node.op, *inputs, name=node.name)
        self.now[node.name] = value
        if node.name in self.regions.accumulators:
            made = self.builder.nodes[-1]
            scale = Const(sum_scale(made, self.builder.types))
            axis = 1 if node.kind == "conv" else types[node.name].rank - 1
            wide = Int(ACCUMULATOR_BITS, scale, axis=axis if scale.array.ndim else None)
            self.retype(value, wide)
        elif coded:
            self.retype(value, self.encodings[node.name])

    def constant(self, name: str, array: np.ndarray, form: Int, layer: str = "") -> str:
        """A coded constant: its values on the grid, its structure kept.

        Shared by its readers, unless it is of one `layer` alone.
        """
        if (name, form, layer) in self.coded:
            return self.coded[name, form, layer]
        kind = self.graph.types[name].with_encoding(form)
        element = tuple(e for e in kind.encodings if e.role == "element")
        suffix = "int32" if form.width == ACCUMULATOR_BITS else f"int{form.width}"
        content = Const.share(project(element, array))
        value = self.builder.constant(content, f"{name}.{suffix}", kind.encodings)
        self.coded[name, form, layer] = value
        return value
