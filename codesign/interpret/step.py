"""One node of a graph, computed."""

from collections.abc import Sequence

from torch import Tensor

from codesign.errors import DataError, VerificationError
from codesign.interpret.arrays import carried, to_torch
from codesign.interpret.rounding import element_of, project
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.encode import Codes
from codesign.ir.ops.operands import given
from codesign.ir.types import TensorType


def compute(graph: Graph, node: Node, operands: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """The results of `node` on `operands`, each on the grid of its type's element encoding.

    DataError names the node when data makes it meaningless (a position out of range).
    """
    if isinstance(node.op, Codes):
        return (codes(graph, node, given(operands, 0)),)
    try:
        made = node.op.evaluate(*operands)
    except DataError as error:
        raise DataError(f"{node.kind} %{node.name}: {error}") from None
    results = made if isinstance(made, tuple) else (made,)
    types = graph.output_types(node)
    return tuple(settle(x, kind, node) for x, kind in zip(results, types, strict=True))


def settle(x: Tensor, kind: TensorType, node: Node) -> Tensor:
    """`x` as a value of type `kind`; VerificationError if the op computed another shape."""
    if tuple(x.shape) != kind.shape:
        raise VerificationError(
            f"{node.kind} %{node.name} computes shape {tuple(x.shape)}, its type says {kind}"
        )
    x = carried(x, kind.dtype)
    return project(x, element_of(kind.encodings)) if kind.encodings else x


def codes(graph: Graph, node: Node, x: Tensor) -> Tensor:
    """The stored codes of the encoded operand of a `codes` node."""
    kind = graph.types[node.operands[0]]
    (encoding,) = element_of(kind.encodings)
    stored = to_torch(encoding.encode(x.detach().numpy())["values"])
    return carried(stored, graph.types[node.name].dtype)
