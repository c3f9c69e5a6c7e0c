"""The integer meaning of a graph: what a datapath of codes computes, exactly.

Values whose type carries a `Grid` encoding (`Int`, `Binary`, `Ternary`) are held as int64 codes,
others as torch tensors. Where
an op has an integer rule it computes on codes alone and requantizes by a fixed-point multiplier
(`codesign.ir.fixedpoint`); any other op decodes its operands to float32, computes its logical
meaning and encodes the result. Kernels and simulators agree with this bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from codesign.analysis.codes import (
    addable,
    averaged,
    clampable,
    code_bounds,
    digits,
    scale_ratio,
    sum_scale,
    sums_codes,
)
from codesign.interpret.arrays import check_inputs, to_numpy, to_torch
from codesign.interpret.step import compute
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.fixedpoint import fixed_point
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType

Codes = np.ndarray


def along(values: np.ndarray, rank: int, axis: int = 1) -> np.ndarray:
    """A vector laid along `axis` of a tensor of `rank` axes; scalars stay."""
    if values.ndim == 0:
        return values
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def requantize(terms: list[tuple[Codes, np.ndarray]], out: Int, rank: int, axis: int) -> Codes:
    """clamp(((sum of centred codes * multiplier + 2^(shift-1)) >> shift) + zero) of `out`.

    `terms` are codes less their zero point, with their real ratio to the scale of `out`, scalar or
    by channel along `axis`.
    """
    fixed = fixed_point([ratio for _, ratio in terms])
    shift = along(fixed.shift.astype(np.int64), rank, axis)
    total = np.int64(1) << (shift - 1)
    for (codes, _), multiplier in zip(terms, fixed.multipliers, strict=True):
        total = total + codes * along(multiplier.astype(np.int64), rank, axis)
    zero = out.along(out.zero, rank)
    clamped: Codes = np.clip((total >> shift) + zero, out.low, out.high)
    return clamped


def aligned(codes: Codes, encoding: Int, rank: int) -> tuple[Codes, Int]:
    """Codes and encoding of a tensor with ones in front up to `rank` axes, as broadcasting does."""
    lost = rank - codes.ndim
    if encoding.axis is not None:
        encoding = replace(encoding, axis=encoding.axis + lost)
    return codes.reshape((1,) * lost + codes.shape), encoding


def channels(node: Node, rank: int) -> int:
    """The axis of a layer's output channels."""
    return 1 if node.kind == "conv" else rank - 1


def accumulated(
    acc: Codes, scale: np.ndarray, out: Grid | None, axis: int, bias: np.ndarray | None = None
) -> Codes | np.ndarray:
    """An accumulator of `scale` (scalar or by channel) and a float `bias` as codes of `out`.

    In float32 where there is a bias or `out` is no integer: the product, then the sum, both
    rounded, then encoded. As float32 where there is no `out`.
    """
    if bias is not None or not isinstance(out, Int):
        values: np.ndarray = acc.astype(np.float32) * along(scale, acc.ndim, axis)
        values = values if bias is None else values + along(bias, acc.ndim, axis)
        return values if out is None else out.encode(values)["values"].astype(np.int64)
    if out.width == ACCUMULATOR_BITS and np.array_equal(out.scale.array, scale):
        return acc
    real = scale.astype(np.float64) / out.scale.array.astype(np.float64)
    return requantize([(acc, real)], out, acc.ndim, axis)


class IntegerInterpreter:
    """Runs a graph on codes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.codes: dict[str, Codes] = {}
        self.floats: dict[str, Tensor] = {}

    def type(self, value: str) -> TensorType:
        """Type of `value`."""
        return self.graph.types[value]

    def integer(self, value: str | None) -> Int | None:
        """The integer encoding of `value`, if it has one."""
        return None if value is None else self.type(value).integer

    def grid(self, value: str | None) -> Grid | None:
        """The encoding of `value` in multiples of a scale, if it has one."""
        return None if value is None else self.type(value).grid

    def multiples(self, value: str) -> Codes:
        """What the codes of `value` stand for, in multiples of its scale."""
        encoding = self.grid(value)
        assert encoding is not None
        return encoding.multiples(self.code(value))

    def code(self, value: str) -> Codes:
        """Codes of an encoded value."""
        if value not in self.codes:
            encoding = self.grid(value)
            assert encoding is not None
            array = self.graph.constants[value].array
            self.codes[value] = encoding.encode(array)["values"].astype(np.int64)
        return self.codes[value]

    def number(self, value: str) -> Tensor:
        """Logical float value of anything."""
        encoding = self.grid(value)
        if encoding is not None and value not in self.graph.constants:
            return to_torch(encoding.decode({"values": self.code(value)}, self.type(value).shape))
        if value not in self.floats:
            self.floats[value] = to_torch(self.graph.constants[value].array)
        return self.floats[value]

    def store(self, value: str, result: np.ndarray) -> None:
        """Keep a float result, encoded if its type says so."""
        encoding = self.grid(value)
        if encoding is None:
            self.floats[value] = to_torch(result)
        else:
            self.codes[value] = encoding.encode(result)["values"].astype(np.int64)

    def run(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Compute every value."""
        check_inputs(self.graph, inputs)
        for name in self.graph.inputs:
            self.store(name, inputs[name])
        self.compute()

    def compute(self) -> None:
        """Compute the nodes from inputs that are known."""
        for node in self.graph.nodes:
            rule = RULES.get(node.kind)
            if rule is None or not rule(self, node):
                self.fall_back(node)

    def sums(self, node: Node) -> Codes:
        """The exact sums of a conv or linear layer: products of multiples, and a coded bias.

        They are counted in `codesign.analysis.codes.sum_scale`.
        """
        x, w, *bias = node.operands
        operands = [torch.from_numpy(self.multiples(v).astype(np.float64)) for v in (x, w)]
        exact = node.op.evaluate(*operands)
        assert isinstance(exact, Tensor)
        found: Codes = exact.numpy().astype(np.int64)
        if not bias or self.grid(bias[0]) is None:
            return found
        fine = found << digits(node, self.graph.types)
        total: Codes = fine + self.begin(node, found.ndim)
        return total

    def offset(self, node: Node) -> np.ndarray | None:
        """The bias of a layer if it is in floats."""
        if len(node.operands) < 3 or self.grid(node.operands[2]) is not None:
            return None
        return self.number(node.operands[2]).numpy()

    def begin(self, node: Node, rank: int) -> Codes:
        """The codes of a layer's bias, laid along its channels."""
        return along(self.code(node.operands[2]), rank, channels(node, rank))

    def fall_back(self, node: Node) -> None:
        """Decode, compute the logical meaning, encode."""
        plain = self.graph.with_types({v: self.type(v).dense for v in node.outputs})
        if node.kind == "codes":
            self.floats[node.name] = to_torch(self.code(node.operands[0]))
            return
        operands = [None if v is None else self.number(v) for v in node.inputs]
        for value, result in zip(node.outputs, compute(plain, node, operands), strict=True):
            self.store(value, to_numpy(result, self.type(value).dtype))


Rule = Callable[[IntegerInterpreter, Node], bool]


def _contraction(run: IntegerInterpreter, node: Node) -> bool:
    """conv and linear: int32 accumulation of centred codes, bias codes, requantization."""
    if not sums_codes(node, run.graph.types):
        return False
    scale = sum_scale(node, run.graph.types)
    acc, out, axis = run.sums(node), run.grid(node.name), channels(node, run.type(node.name).rank)
    result = accumulated(acc, scale, out, axis, run.offset(node))
    if out is None:
        run.floats[node.name] = to_torch(result)
    else:
        run.codes[node.name] = result
    return True


def _add(run: IntegerInterpreter, node: Node) -> bool:
    """Both operands rescaled to the result in one rounding."""
    out = run.integer(node.name)
    forms = {v: e for v in node.operands if (e := run.integer(v)) is not None}
    fixed = any(v in run.graph.constants for v in node.operands)
    if out is None or fixed or len(forms) < len(set(node.operands)):
        return False
    rank = run.type(node.name).rank
    pairs = [aligned(run.code(v), forms[v], rank) for v in node.operands]
    if not addable([e for _, e in pairs], out):
        return False
    axes = [e.axis for _, e in pairs if e.axis is not None]
    terms = [(e.multiples(codes), scale_ratio(e, out)) for codes, e in pairs]
    run.codes[node.name] = requantize(terms, out, rank, axes[0] if axes else 0)
    return True


def _rescaled(run: IntegerInterpreter, x: str, out: Grid) -> Codes | None:
    """Codes of `x` in encoding `out`: as they are if it is its own, else requantized."""
    encoding = run.grid(x)
    if encoding is None:
        return None
    if encoding == out:
        return run.code(x)
    if out.axis is not None or not isinstance(out, Int) or not isinstance(encoding, Int):
        return None
    term = (run.multiples(x), scale_ratio(encoding, out))
    return requantize([term], out, run.code(x).ndim, encoding.axis or 0)


def _clamp(run: IntegerInterpreter, node: Node) -> bool:
    """relu and clip: a narrower clamp of the rescaled codes."""
    out = run.integer(node.name)
    if out is None or not clampable(node, out):
        return False
    codes = _rescaled(run, node.operands[0], out)
    if codes is None:
        return False
    low, high = code_bounds(node, out)
    run.codes[node.name] = np.clip(codes, low, high)
    return True


def _moved(run: IntegerInterpreter, node: Node) -> bool:
    """Ops that only move elements, on operands of the result's own per-tensor encoding."""
    out = run.grid(node.name)
    if out is None or out.axis is not None or any(v in run.graph.constants for v in node.operands):
        return False
    operands = []
    for value in node.operands:
        codes = _rescaled(run, value, out)
        if codes is None:
            return False
        operands.append(torch.from_numpy(codes.astype(np.float64)))
    if node.kind == "max_pool" and len(node.outputs) > 1:
        return False
    made = node.op.evaluate(*operands)
    results = made if isinstance(made, tuple) else (made,)
    if any(run.grid(v) != out for v in node.outputs):
        return False
    for value, result in zip(node.outputs, results, strict=True):
        run.codes[value] = result.numpy().astype(np.int64)
    return True


def _mean(run: IntegerInterpreter, node: Node) -> bool:
    """Averages of a fixed number of elements: an exact sum, then requantization."""
    x, y = node.operands[0], node.name
    ex, out = run.integer(x), run.integer(y)
    if ex is None or out is None or ex.axis is not None or out.axis is not None:
        return False
    if node.kind == "avg_pool" and any(any(p) for p in node.op.pads):  # type: ignore[attr-defined]
        return False
    codes = run.multiples(x)
    total, ones = (
        node.op.evaluate(torch.from_numpy(a.astype(np.float64)))
        for a in (codes, np.ones_like(codes))
    )
    assert isinstance(total, Tensor) and isinstance(ones, Tensor)
    count = averaged(node, run.type(x))
    acc = np.rint(total.numpy() * count).astype(np.int64)
    term = (acc, scale_ratio(ex, out) / count)
    run.codes[y] = requantize([term], out, acc.ndim, 1)
    return True


MOVES = ("reshape", "flatten", "squeeze", "expand_dims", "transpose", "concat", "slice", "relayout")
RULES: dict[str, Rule] = {
    "conv": _contraction,
    "linear": _contraction,
    "add": _add,
    "relu": _clamp,
    "clip": _clamp,
    "max_pool": _moved,
    "avg_pool": _mean,
    "reduce_mean": _mean,
    **dict.fromkeys(MOVES, _moved),
}


def evaluate_integer(
    graph: Graph, inputs: Mapping[str, np.ndarray], values: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Outputs by public name (logical values), and the codes of the chosen `values` by name."""
    run = IntegerInterpreter(graph)
    run.run(inputs)
    found = {v: run.code(v) for v in values}
    for public, value in zip(graph.output_names, graph.outputs, strict=True):
        found[public] = to_numpy(run.number(value), graph.types[value].dtype)
    return found
