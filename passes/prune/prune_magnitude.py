"""Magnitude pruning: the smallest weights become zero."""

import re
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import UsageError
from codesign.ir.const import Const
from codesign.ir.encoding import Encoding
from codesign.ir.encodings import NM, Bitmap, Block, Csr
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Program
from codesign.ir.types import TensorType
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.layers import plain_layers
from codesign.rewrite.pass_ import Pass

_PATTERN = re.compile(r"(\d+)(:|x)(\d+)\Z")


@dataclass(frozen=True)
class PruneMagnitude(Pass):
    """Set the weights of least magnitude to zero (Han et al., 2015) and store the others only.

    `pattern` is `unstructured`, `n:m` (n of m neighbours along the input channels stay: `2:4`) or
    `RxC` (whole blocks of the weight seen as a matrix [output, rest], by their norm: `16x1`).
    `sparsity` is the share that goes; with `scope` `global` one threshold rules all layers, with
    `layer` each loses that share. `skip` names layers (patterns) to leave. Layers with fewer than
    `min_elements` weights, or whose sparse form would be larger, stay dense.

    Before:
        const %w: tensor<16x64x1x1xf32> = ...
        %y: tensor<1x16x8x8xf32> = conv(%x, %w)
    After:
        const %w: tensor<16x64x1x1xf32, nm<2, 4>> = ...
        %y: tensor<1x16x8x8xf32> = conv(%x, %w)
    """

    name: ClassVar[str] = "prune-magnitude"

    sparsity: float = 0.5
    pattern: str = "unstructured"
    scope: Literal["global", "layer"] = "layer"
    min_elements: int = 256
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise UsageError(f"{self.name}: sparsity is {self.sparsity}, expected between 0 and 1")
        found = _PATTERN.match(self.pattern)
        if self.pattern != "unstructured" and found is None:
            raise UsageError(
                f"{self.name}: pattern is {self.pattern!r}, expected unstructured, n:m or RxC"
            )
        if found and (int(found[1]) < 1 or int(found[3]) < 1):
            raise UsageError(f"{self.name}: pattern {self.pattern!r} needs positive numbers")
        if found and found[2] == ":" and int(found[1]) >= int(found[3]):
            raise UsageError(f"{self.name}: pattern {self.pattern!r} keeps everything")

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        layers = [
            node
            for node in plain_layers(graph, self.skip, context, self.name)
            if graph.types[node.operands[1]].size >= self.min_elements
        ]
        scores = {n.name: self._scores(_matrix(graph, n)) for n in layers}
        limits = self._limits(scores)
        edit = Edit(graph)
        for node in layers:
            self._store(edit, graph, node, scores[node.name] > limits[node.name], context)
        return program.with_graph(edit.graph())

    def _block(self) -> tuple[int, int]:
        found = _PATTERN.match(self.pattern)
        return (int(found[1]), int(found[3])) if found and found[2] == "x" else (1, 1)

    def _nm(self) -> tuple[int, int] | None:
        found = _PATTERN.match(self.pattern)
        return (int(found[1]), int(found[3])) if found and found[2] == ":" else None

    def _scores(self, matrix: np.ndarray) -> np.ndarray:
        """The magnitude of each weight, or the mean square root of each block."""
        rows, columns = self._block()
        height, width = (-(-e // b) for e, b in zip(matrix.shape, (rows, columns), strict=True))
        padded = np.zeros((height * rows, width * columns))
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        squares = padded.reshape(height, rows, width, columns) ** 2
        scores: np.ndarray = np.sqrt(squares.mean(axis=(1, 3)))
        return scores

    def _limits(self, scores: dict[str, np.ndarray]) -> dict[str, float]:
        """The score up to which a layer's weights go."""
        if self.scope == "layer" or not scores:
            return {name: float(np.quantile(s, self.sparsity)) for name, s in scores.items()}
        joined = np.concatenate([s.reshape(-1) for s in scores.values()])
        return dict.fromkeys(scores, float(np.quantile(joined, self.sparsity)))

    def _mask(self, weight: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """True for the weights that stay, `kept` saying so by weight or block of the matrix."""
        pattern = self._nm()
        if pattern is not None:
            return NM(*pattern).keep(weight)
        rows, columns = self._block()
        mask = np.repeat(np.repeat(kept, rows, axis=0), columns, axis=1)
        width = prod(weight.shape[1:])
        return mask[: weight.shape[0], :width].reshape(weight.shape)

    def _store(
        self, edit: Edit, graph: Graph, node: Node, kept: np.ndarray, context: Context
    ) -> None:
        value = node.operands[1]
        kind, const = graph.types[value], graph.constants[value]
        mask = self._mask(const.array, kept)
        pruned = np.where(mask, const.array, const.array.dtype.type(0))
        best = min(self._forms(kind, pruned, kept), key=lambda form: form.bits)
        gone = 1 - np.count_nonzero(pruned) / pruned.size
        if best.bits >= kind.bits:
            context.note(node.name, f"{gone:.0%} zeros would not be smaller stored", done=False)
            return
        weight = edit.constant(Const.share(pruned), value, best.encodings)
        inputs = (node.inputs[0], weight, *node.inputs[2:])
        edit.replace(node.name, edit.add(node.op, *inputs, name=node.name))
        context.note(node.name, f"{gone:.1%} of its weights are zero")

    def _forms(self, kind: TensorType, pruned: np.ndarray, kept: np.ndarray) -> list[TensorType]:
        """The ways to store the pruned weight."""
        nnz = int(np.count_nonzero(pruned))
        nm = self._nm()
        forms: list[Encoding] = [Csr(nnz), Bitmap(nnz)]
        if nm is not None:
            forms = [NM(*nm)]
        elif self._block() != (1, 1):
            forms = [Block(self._block(), int(kept.sum()))]
        return [kind.with_encoding(form) for form in forms if _fits(form, kind)]


def _matrix(graph: Graph, node: Node) -> np.ndarray:
    weight = graph.constants[node.operands[1]].array
    return np.abs(weight.reshape(weight.shape[0], prod(weight.shape[1:])).astype(np.float64))


def _fits(form: Encoding, kind: TensorType) -> bool:
    from codesign.errors import VerificationError

    try:
        form.check(kind.shape)
    except VerificationError:
        return False
    return True
