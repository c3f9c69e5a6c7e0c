"""Float weights to start from: those of the original network that what is stored came from."""

import numpy as np

from codesign.errors import VerificationError
from codesign.ir import encoding as enc
from codesign.ir.graph import Graph


def latents(graph: Graph, original: Graph | None) -> dict[str, np.ndarray]:
    """By the names of encoded constants of `graph`, weights of `original` that project onto them.

    Rounding forgets how near a weight is to the next code; where layers of one name have weights
    that are stored as the same codes, the float ones are known still.
    """
    found: dict[str, np.ndarray] = {}
    for node in graph.nodes if original is not None else ():
        assert original is not None
        before = original.by_name.get(node.name)
        if before is None or before.kind != node.kind or len(before.inputs) != len(node.inputs):
            continue
        for value, old in zip(node.operands, before.operands, strict=False):
            if value not in graph.constants or old not in original.constants:
                continue
            array = original.constants[old].array
            if _stored_as(graph, value, array):
                found[value] = array
    return found


def _stored_as(graph: Graph, value: str, array: np.ndarray) -> bool:
    """Whether `array` is what the codes of constant `value` were made of."""
    encodings, stored = graph.types[value].encodings, graph.constants[value].array
    if not encodings or array.shape != stored.shape or array.dtype != stored.dtype:
        return False
    try:
        return np.array_equal(enc.project(encodings, array), stored)
    except VerificationError:
        return False
