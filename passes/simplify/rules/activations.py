"""Activations from the pieces that exporters cut them into."""

from math import pi, sqrt

from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.ops.activation import Clip, Gelu, HardSigmoid, HardSwish, Silu
from codesign.rewrite.edit import Edit
from codesign.rewrite.pattern import Any, Apply, Number, Pattern, match, number

X = Any("x")
SIXTH = HardSigmoid(1 / 6, 0.5)
_SHIFTED = Apply("clip", Apply("add", X, Number(3.0)), name="clip")
_ERF = [
    Apply("add", Apply("erf", inner), Number(1.0))
    for inner in (
        Apply("div", X, Number(sqrt(2))),
        Apply("mul", X, Number(1 / sqrt(2))),
    )
]
_TANH = [
    Apply(
        "add",
        Apply(
            "tanh",
            Apply(
                "mul",
                Apply("add", X, Apply("mul", cube, Number(0.044715))),
                Number(sqrt(2 / pi)),
            ),
        ),
        Number(1.0),
    )
    for cube in (
        Apply("pow", X, Number(3.0)),
        Apply("mul", Apply("mul", X, X), X),
    )
]


def _halves(factor: Pattern) -> list[Pattern]:
    """The orders in which x, 1/2 and `factor` are multiplied."""
    half = Number(0.5)
    return [
        Apply("mul", Apply("mul", X, factor), half),
        Apply("mul", Apply("mul", X, half), factor),
        Apply("mul", Apply("mul", factor, half), X),
        Apply("mul", Apply("div", X, Number(2.0)), factor),
    ]


_MULTIPLIED: list[tuple[Pattern, Op]] = [
    (Apply("mul", X, Apply("sigmoid", X)), Silu()),
    (Apply("mul", Apply("mul", X, _SHIFTED), Number(1 / 6)), HardSwish()),
    *((p, Gelu()) for erf in _ERF for p in _halves(erf)),
    *((p, Gelu("tanh")) for tanh in _TANH for p in _halves(tanh)),
]


def multiplied(graph: Graph, node: Node, edit: Edit) -> str | None:
    """silu, hard-swish and gelu, which end in a multiplication."""
    for pattern, op in _MULTIPLIED:
        bound = match(graph, node.name, pattern)
        if bound is not None and _six(graph, bound):
            return edit.add(op, bound["x"], name=node.name)
    gate = match(graph, node.name, Apply("mul", X, Apply("hard_sigmoid", X, name="gate")))
    if gate is not None and _is_sixth(graph.producers[gate["gate"]].op):
        return edit.add(HardSwish(), gate["x"], name=node.name)
    return _hard_sigmoid(graph, node, edit, Apply("mul", _SHIFTED, Number(1 / 6)))


def divided(graph: Graph, node: Node, edit: Edit) -> str | None:
    """hard-swish and hard-sigmoid, which end in a division by six."""
    bound = match(graph, node.name, Apply("div", Apply("mul", X, _SHIFTED), Number(6.0)))
    if bound is not None and _six(graph, bound):
        return edit.add(HardSwish(), bound["x"], name=node.name)
    return _hard_sigmoid(graph, node, edit, Apply("div", _SHIFTED, Number(6.0)))


def _hard_sigmoid(graph: Graph, node: Node, edit: Edit, pattern: Pattern) -> str | None:
    bound = match(graph, node.name, pattern)
    if bound is None or not _six(graph, bound):
        return None
    return edit.add(SIXTH, bound["x"], name=node.name)


def _is_sixth(op: Op) -> bool:
    return isinstance(op, HardSigmoid) and abs(op.alpha - 1 / 6) < 1e-5 and op.beta == 0.5


def _six(graph: Graph, bound: dict[str, str]) -> bool:
    """True if the clip of a match, if there is one, lies between 0 and 6."""
    clip = graph.producers[bound["clip"]].op if "clip" in bound else Clip(0.0, 6.0)
    return isinstance(clip, Clip) and (clip.low, clip.high) == (0.0, 6.0)


def clipped(graph: Graph, node: Node, edit: Edit) -> str | None:
    """clip(relu(x)) and clip(clip(x)) are one clip."""
    assert isinstance(node.op, Clip)
    before = graph.producers.get(node.operands[0])
    if before is None or before.kind not in ("relu", "clip"):
        return None
    inner = before.op if isinstance(before.op, Clip) else Clip(0.0)
    low, high = max(node.op.low, inner.low), min(node.op.high, inner.high)
    if low > high or inner.low > node.op.high or inner.high < node.op.low:
        return None
    return edit.add(Clip(low, high), before.operands[0], name=node.name)


def bounded(graph: Graph, node: Node, edit: Edit) -> str | None:
    """max(x, number) and min(x, number) are clips."""
    if len(node.operands) != 2:
        return None
    a, b = node.operands
    for x, other in ((a, b), (b, a)):
        bound = number(graph, other)
        if bound is None or graph.types[x] != graph.types[node.name] or bound != bound:
            continue
        if not graph.types[x].dtype.is_float:
            return None
        clip = Clip(low=bound) if node.kind == "max" else Clip(high=bound)
        return edit.add(clip, x, name=node.name)
    return None
