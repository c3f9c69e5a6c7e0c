"""The same graph for another number of samples at a time."""

from dataclasses import replace

from codesign.errors import VerificationError
from codesign.ir.graph import Graph
from codesign.ir.types import TensorType


def batch_of(graph: Graph) -> int | None:
    """The first extent that all inputs and outputs share, None if they share none."""
    values = (*graph.inputs, *graph.outputs)
    extents = {graph.types[value].shape[:1] for value in values}
    return next(iter(extents))[0] if len(extents) == 1 and () not in extents else None


def rebatch(graph: Graph, size: int) -> Graph | None:
    """`graph` over `size` samples, types inferred anew; None where its ops do not allow that.

    Whether samples stay independent of each other is for the caller to check on data.
    """
    types = dict(graph.types)
    for name in graph.inputs:
        types[name] = replace(types[name], shape=(size, *types[name].shape[1:]))
    try:
        for node in graph.nodes:
            inferred = node.op.infer(*(None if v is None else types[v] for v in node.inputs))
            types |= zip(node.outputs, map(_kept, inferred, graph.output_types(node)), strict=True)
    except VerificationError:
        return None
    made = replace(graph, types=types)
    return made if batch_of(made) == size else None


def _kept(inferred: TensorType, before: TensorType) -> TensorType:
    """The inferred shape with the encodings that the value had."""
    return replace(before, shape=inferred.shape)
