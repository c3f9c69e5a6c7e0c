"""What a target offers each layer of a graph, and what it asks for each pair of widths."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from codesign.errors import RefusedError, UnsupportedModelError
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encoding import project
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Encode
from codesign.ir.types import TensorType
from codesign.passes.quantize import scales
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.regions import ANCHORS, refusal
from codesign.rewrite.context import Context, Target
from codesign.rewrite.price import estimate

Pair = tuple[int, int]  # bits of the weight, bits of the activation
LEAST, MOST = 2, 16  # bits of codes; one bit is another encoding


@dataclass(frozen=True)
class Price:
    """What one layer costs at one pair of widths; `energy_uj` None where it is not known."""

    bytes: int
    latency_ms: float
    energy_uj: float | None


Offers = Mapping[str, Mapping[Pair, Price]]


def offers(
    graph: Graph, left: Collection[str], target: Target, forms: Forms, context: Context, who: str
) -> Offers:
    """By layer, the pairs that `target` takes it in, but those of `left`; `who` asks.

    RefusedError if the target offers no widths at all. Layers that no pair fits are noted.
    """
    kinds = {kind: _pairs(target, kind) for kind in sorted(ANCHORS)}
    if not any(kinds.values()):
        raise RefusedError(
            f"{who} chooses among the widths that a target offers, but {target.spec} offers none "
            f"for {' or '.join(sorted(ANCHORS))}; use another target, or quantize-int8"
        )
    layers = [node for node in graph.nodes if node.kind in ANCHORS and node.name not in left]
    found: dict[str, dict[Pair, Price]] = {}
    shop = _Shop(graph, target, forms)
    for i, node in enumerate(layers):
        context.progress(f"{who}: costs of %{node.name}", i / len(layers))
        if why := refusal(graph, node, any_window=True):
            context.note(node.name, why, done=False)
            continue
        prices = {pair: shop.price(node, pair) for pair in kinds[node.kind]}
        taken = {pair: price for pair, price in prices.items() if price is not None}
        if taken:
            found[node.name] = taken
        else:
            text = f"{target.spec} takes it in none of its widths: {shop.why or 'none are offered'}"
            context.note(node.name, text, done=False)
    return found


def _pairs(target: Target, kind: str) -> list[Pair]:
    """The pairs of widths for `kind` that codes can have."""
    return [pair for pair in target.widths(kind) if min(pair) >= LEAST and max(pair) <= MOST]


class _Shop:
    """Asks `target` for prices, once for equal work."""

    def __init__(self, graph: Graph, target: Target, forms: Forms) -> None:
        self.graph, self.target, self.forms = graph, target, forms
        self.known: dict[tuple[object, ...], tuple[float, float | None] | None] = {}
        self.why = ""  # the last refusal

    def price(self, node: Node, pair: Pair) -> Price | None:
        """What `node` costs at `pair`; None if the target refuses."""
        x = nominal(pair[1])
        kind = self.graph.types[node.operands[1]]
        form = self.forms.weight(node, pair[0], x)
        content = node.operands[1] if kind.structure is not None else ""
        given = node.operands[0] in self.graph.inputs
        key = (node.op, pair, content, given, *(self.graph.types[v] for v in node.operands))
        if key not in self.known:
            self.known[key] = self._asked(node, form, x)
        found = self.known[key]
        return None if found is None else Price(self._bytes(node, form, x), *found)

    def _bytes(self, node: Node, form: Int, x: Int) -> int:
        """Bytes of weight and bias, scales included."""
        kinds = [self.graph.types[node.operands[1]].with_encoding(form)]
        if len(node.operands) > 2:
            bias = scales.accumulator(x, form, 0)
            kinds.append(self.graph.types[node.operands[2]].with_encoding(bias))
        return sum(-(-kind.bits // 8) for kind in kinds)

    def _asked(self, node: Node, form: Int, x: Int) -> tuple[float, float | None] | None:
        """Latency and energy of the layer from codes `x` to codes of that width."""

        given = node.operands[0] in self.graph.inputs

        def body(builder: Builder, value: str) -> str:
            if given:
                value = builder.op(Encode(), value, name=f"{value}.codes")
                builder.types[value] = kind
            inputs = [value, self._constant(builder, node.operands[1], form)]
            for bias in node.operands[2:]:
                inputs.append(self._constant(builder, bias, scales.accumulator(x, form, 0)))
            made = builder.op(node.op, *inputs, name=node.name)
            builder.types[made] = builder.types[made].with_encoding(x)
            return made

        kind: TensorType = self.graph.types[node.operands[0]].with_encoding(x)
        try:
            found = estimate(self.target, kind.dense if given else kind, body)
        except (UnsupportedModelError, RefusedError) as error:
            self.why = str(error)
            return None
        return found.latency_ms, found.energy_uj

    def _constant(self, builder: Builder, name: str, form: Int) -> str:
        """Constant `name` in codes of `form`; biases, whose content costs nothing, as they are."""
        const, kind = self.graph.constants[name], self.graph.types[name].with_encoding(form)
        if form.width < ACCUMULATOR_BITS:
            element = tuple(e for e in kind.encodings if e.role == "element")
            const = Const.share(project(element, const.array))
        return builder.constant(const, name, kind.encodings)


def nominal(width: int) -> Int:
    """Codes of `width` bits as an activation has, before anything is known of its range."""
    return scales.activation(0.0, float((1 << width) - 1), width)
