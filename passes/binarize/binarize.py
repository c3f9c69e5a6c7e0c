"""Layers whose weights and inputs take one to three bits."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from codesign.analysis.signs import nonnegative
from codesign.errors import UsageError
from codesign.ir import encoding as enc
from codesign.ir.const import Const
from codesign.ir.encodings.grid import Grid
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Encode
from codesign.ir.program import Program
from codesign.passes.binarize.inputs import input_form, seen
from codesign.passes.binarize.weights import Weights, weight_form
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import LAYERS, plain_layers
from codesign.rewrite.pass_ import Pass

Bits = Literal[0, 1, 2, 3]


@dataclass(frozen=True)
class Binarize(Pass):
    """Store weights and inputs of convolutions and linear layers in one to three bits.

    `method` says what binary and ternary weights are multiples of: `xnor-net` of a scale for each
    output channel (Rastegari et al., 2016), `bnn` of 1 (Courbariaux et al., 2016), as are signs of
    inputs then; `binary-connect` (Courbariaux et al., 2015) is `bnn` with inputs left alone.
    `weights` are `binary`, `ternary` (Li et al., 2016), or integers of 2 or 3 bits. `activations`
    are the bits of what layers read, 0 for as it is: one bit is a sign, or 0 or a step where a
    value cannot be negative (Zhou et al., DoReFa-Net, 2016). Steps come from `samples` of the
    calibration data. Codes stand at the edge into a layer, so that an add reads the value itself.

    Layers with no layer before or behind them stay as they are unless `ends` are asked for, as do
    those that `skip` names (patterns). Accuracy is lost until `recover` trains what remains, which
    needs batch norms that are not folded yet.

    Before:
        %y: tensor<1x8x6x6xf32> = conv(%x, %w)
        %z: tensor<1x8x6x6xf32> = relu(%y)
        %u: tensor<1x8x4x4xf32> = conv(%z, %k)
        %v: tensor<1x4x4x4xf32> = conv(%u, %l)
    After:
        const %k.binary: tensor<8x8x3x3xf32, binary<..., axis=0>> = ...
        %y: tensor<1x8x6x6xf32> = conv(%x, %w)
        %z: tensor<1x8x6x6xf32> = relu(%y)
        %z.bits: tensor<1x8x6x6xf32, int<1, ..., signed=false>> = encode(%z)
        %u: tensor<1x8x4x4xf32> = conv(%z.bits, %k.binary)
        %v: tensor<1x4x4x4xf32> = conv(%u, %l)
    """

    name: ClassVar[str] = "binarize"
    encodes: ClassVar[bool] = True

    method: Literal["xnor-net", "bnn", "binary-connect"] = "xnor-net"
    weights: Weights = "binary"
    activations: Bits | None = field(default=None, metadata={"unset": "1, with binary-connect 0"})
    ends: bool = False
    samples: int = 256
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method == "binary-connect" and self.activations:
            raise UsageError(
                f"{self.name}: binary-connect leaves inputs alone, but activations is "
                f"{self.activations}; leave it out, or use method=bnn"
            )
        if isinstance(self.weights, int) and not self.scaled:
            raise UsageError(
                f"{self.name}: weights of {self.weights} bits have steps of their own, which "
                f"method={self.method} does without; use method=xnor-net"
            )
        if self.samples < 1:
            raise UsageError(f"{self.name}: samples is {self.samples}, expected at least 1")

    @property
    def scaled(self) -> bool:
        """Whether scales are other than 1."""
        return self.method == "xnor-net"

    @property
    def bits(self) -> int:
        """Bits of what layers read, 0 for as it is."""
        if self.activations is None:
            return 0 if self.method == "binary-connect" else 1
        return self.activations

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        layers = [node for node in self._layers(graph, context) if _takes(graph, node, context)]
        if not layers:
            return program
        forms = self._inputs(graph, layers, context)
        edit, made = Edit(graph), dict[str, str]()
        for node in layers:
            x, w = node.operands[:2]
            if w not in made:
                made[w] = self._weight(edit, graph, w)
            if x in forms and x not in made:
                kind = graph.types[x].with_encoding(forms[x])
                made[x] = edit.add(Encode(), x, name=f"{x}.bits", types=[kind])
            inputs = (made.get(x, x), made[w], *node.inputs[2:])
            types = graph.output_types(node)
            edit.replace(node.name, edit.add(node.op, *inputs, name=node.name, types=types))
            context.note(node.name, f"{self.weights} weights, {_told(forms.get(x))}")
        return program.with_graph(edit.graph())

    def _layers(self, graph: Graph, context: Context) -> Iterator[Node]:
        """The layers to change, but for what their inputs and shapes forbid."""
        ends = set() if self.ends else outer(graph)
        for node in plain_layers(graph, self.skip, context, self.name):
            if node.name in ends:
                context.note(node.name, "no layer before or behind it: stays", done=False)
            else:
                yield node

    def _inputs(self, graph: Graph, layers: list[Node], context: Context) -> dict[str, Grid]:
        """The codes of each value that `layers` read; none if these are left alone."""
        if not self.bits:
            return {}
        data = context.need_calibration(self.name)
        values = {node.operands[0] for node in layers}
        found = seen(graph, values, data, self.samples, context, self.name)
        never = nonnegative(graph)
        return {v: input_form(found[v], self.bits, v in never, self.scaled) for v in values}

    def _weight(self, edit: Edit, graph: Graph, value: str) -> str:
        """A constant of what remains of weight `value`."""
        array = graph.constants[value].array
        form = weight_form(array, self.weights, self.scaled)
        left = Const.share(enc.project((form,), array))
        suffix = f"int{self.weights}" if isinstance(self.weights, int) else self.weights
        return edit.constant(left, f"{value}.{suffix}", (form,))


def outer(graph: Graph) -> set[str]:
    """The layers that no layer comes before, and those that none comes behind."""
    later, layers = set[str](), set[str]()  # values behind a layer, and layers that read one
    for node in graph.nodes:
        if later.intersection(node.operands):
            later.update(node.outputs)
            layers.add(node.name)
        if node.kind in LAYERS:
            later.update(node.outputs)
    earlier, inner = set[str](), set[str]()
    for node in reversed(graph.nodes):
        if earlier.intersection(node.outputs):
            earlier.update(node.operands)
            inner.add(node.name)
        if node.kind in LAYERS:
            earlier.update(node.operands)
    return {node.name for node in graph.nodes if node.kind in LAYERS} - (layers & inner)


def _takes(graph: Graph, node: Node, context: Context) -> bool:
    """Whether layer `node` can be changed; noted if not."""
    x, w = (graph.types[v] for v in node.operands[:2])
    why = ""
    if x.dtype != "f32" or w.dtype != "f32":
        why = f"it computes in {w.dtype}, and codes need f32"
    elif not (x.size and w.size):
        why = "its input or weight has no elements"
    elif x.element is not None:
        why = f"its input is stored as {x.element.kind} already"
    elif node.operands[0] in graph.constants:
        why = "its input is a constant"
    if why:
        context.note(node.name, why, done=False)
    return not why


def _told(form: Grid | None) -> str:
    """What a layer reads, in words."""
    if form is None:
        return "inputs as they are"
    return f"{form.code_bits}-bit inputs of step {float(form.scale.array):.4g}"
