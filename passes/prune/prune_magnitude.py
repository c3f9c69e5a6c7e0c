"""Magnitude pruning: the smallest weights become zero."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import UsageError, VerificationError
from codesign.ir.const import Const
from codesign.ir.encoding import Encoding
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.passes.prune.gains import tell
from codesign.passes.prune.pattern import Blocks, Runs, parse
from codesign.passes.prune.select import keep
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import constant_layers
from codesign.rewrite.pass_ import Pass

SPARSITY = 0.5  # where none is given
_NEAR = 1e-3  # as 0.667 is to 2/3


@dataclass(frozen=True)
class PruneMagnitude(Pass):
    """Set the weights of least magnitude to zero (Han et al., 2015) and store the others only.

    `pattern` is `unstructured`, `n:m` (n of m neighbours along the input channels stay: `2:4`) or
    `RxC` (whole blocks of the weight seen as a matrix [output, rest], by their norm: `16x1`).
    `sparsity` (0.5 unless given) is the share of all weights or blocks that is zero afterwards,
    rounded down; with `scope` `global` the lowest of all layers together go, with `layer` each
    loses that share. Of equal ones the first stay. `n:m` fixes its share and scope itself.

    Shares are not exact where runs or blocks do not divide a weight: a shorter last run keeps up to
    n too, and a block at the edge counts as a whole one. Layers smaller than a block or a run stay,
    as do those with fewer than `min_elements` weights, those whose sparse form would be larger, and
    those that `skip` names (patterns).

    It is done whether or not it pays. What the zeros buy on the target, if there is one, is noted
    of each layer, and the ledger says where they buy nothing: machines that do not watch for zeros
    of weights take as long, and as much energy, as before.

    A pruned layer may be pruned again, which replaces its structure; a quantized one keeps its
    codes, as long as one of them stands for zero exactly.

    Before:
        const %w: tensor<16x64x1x1xf32> = ...
        %y: tensor<1x16x8x8xf32> = conv(%x, %w)
    After:
        const %w: tensor<16x64x1x1xf32, nm<2, 4>> = ...
        %y: tensor<1x16x8x8xf32> = conv(%x, %w)
    """

    name: ClassVar[str] = "prune-magnitude"

    sparsity: float | None = field(
        default=None, metadata={"unset": f"{SPARSITY}, or as n:m fixes it"}
    )
    pattern: str = "unstructured"
    scope: Literal["global", "layer"] = "layer"
    min_elements: int = 256
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise UsageError(f"{self.name}: sparsity is {self.sparsity}, expected between 0 and 1")
        shape = self._shape
        if not isinstance(shape, Runs):
            return
        share = 1 - shape.n / shape.m
        if self.sparsity is not None and abs(self.sparsity - share) > _NEAR:
            raise UsageError(
                f"{self.name}: pattern {self.pattern} makes {share:.4g} of each run zero, but "
                f"sparsity is {self.sparsity}; leave sparsity out, or use another pattern"
            )
        if self.scope == "global":
            raise UsageError(
                f"{self.name}: pattern {self.pattern} prunes each run by itself, so scope=global "
                "has no meaning; leave scope out, or use pattern=unstructured or RxC"
            )

    @cached_property
    def _shape(self) -> Blocks | Runs:
        return parse(self.pattern, self.name)

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        found = constant_layers(graph, self.skip, context, self.name, _refusal)
        layers = [node for node in found if self._takes(graph, node, context)]
        masks = self._masks([_weight(graph, node) for node in layers])
        edit, done = Edit(graph), {}
        for node, mask in zip(layers, masks, strict=True):
            pruned = np.where(mask, _weight(graph, node), _weight(graph, node).dtype.type(0))
            if self._store(edit, graph, node, pruned, context):
                done[node.name] = f"{_zeros(pruned):.1%} of its weights are zero"
        made = program.with_graph(edit.graph())
        tell(done, graph, made.graph, context)
        return made

    def _takes(self, graph: Graph, node: Node, context: Context) -> bool:
        """Whether `node` is large enough for `min_elements` and the pattern."""
        kind = graph.types[node.operands[1]]
        if kind.size < max(self.min_elements, 1):
            return False
        why = self._shape.refusal(kind.shape)
        if why:
            context.note(node.name, why, done=False)
        return not why

    def _masks(self, weights: list[np.ndarray]) -> list[np.ndarray]:
        """True for what stays of each of `weights`."""
        shape, share = self._shape, SPARSITY if self.sparsity is None else self.sparsity
        if isinstance(shape, Runs):
            return [shape.keep(w) for w in weights]
        scores = [shape.scores(w) for w in weights]
        if self.scope == "global":
            kept = keep(scores, share)
        else:
            kept = [mask for s in scores for mask in keep([s], share)]
        return [shape.mask(k, w.shape) for k, w in zip(kept, weights, strict=True)]

    def _store(
        self, edit: Edit, graph: Graph, node: Node, pruned: np.ndarray, context: Context
    ) -> bool:
        """Whether the `pruned` weight goes into `node`: if so it is smaller stored, else noted."""
        value = node.operands[1]
        kind = graph.types[value]
        best = _smallest(kind, self._shape.forms(pruned))
        why = _no_gain(kind, best, pruned, graph.constants[value].array)
        if best is None or why:
            context.note(node.name, why, done=False)
            return False
        weight = edit.constant(Const.share(pruned), value, best.encodings)
        inputs, types = (node.inputs[0], weight, *node.inputs[2:]), graph.output_types(node)
        edit.replace(node.name, edit.add(node.op, *inputs, name=node.name, types=types))
        return True


def _refusal(kind: TensorType) -> str:
    """Why a weight of this type cannot be pruned, "" if it can."""
    element = kind.element
    if element is not None and not element.zero_is_zero:
        return f"no code of its {element.kind} stands for exactly 0 as 0: prune before quantizing"
    others = [e.kind for e in kind.encodings if e.role not in ("structure", "element")]
    return f"stored as {', '.join(others)}: prune it before" if others else ""


def _smallest(kind: TensorType, forms: list[Encoding]) -> TensorType | None:
    """The type that takes the fewest bits with one of `forms`, None if none can store it."""
    fitting = [kind.with_encoding(form) for form in forms if _fits(form, kind)]
    return min(fitting, key=lambda found: found.bits, default=None)


def _no_gain(
    kind: TensorType, best: TensorType | None, pruned: np.ndarray, before: np.ndarray
) -> str:
    """Why a weight of `kind` had better not become `pruned`, stored as `best`; "" if it had."""
    gone = f"{_zeros(pruned):.0%} zeros"
    if best is None:
        return f"{gone} cannot be stored in this pattern"
    if best.bits >= kind.without("structure").bits:
        return f"{gone} would not be smaller stored"
    if best.bits > kind.bits:
        return f"{gone} would be larger stored than as {kind.structure}"
    same = best == kind and np.array_equal(pruned, before)
    return f"{_zeros(before):.0%} of its weights are zero already" if same else ""


def _zeros(weight: np.ndarray) -> float:
    return 1 - float(np.count_nonzero(weight)) / weight.size


def _weight(graph: Graph, node: Node) -> np.ndarray:
    return graph.constants[node.operands[1]].array


def _fits(form: Encoding, kind: TensorType) -> bool:
    try:
        form.check(kind.shape)
    except VerificationError:
        return False
    return True
