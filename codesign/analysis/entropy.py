"""How small a graph's constants would be under an ideal entropy coder."""

from functools import lru_cache

import numpy as np

from codesign.ir.const import Const
from codesign.ir.encoding import Encodings, encode
from codesign.ir.graph import Graph
from codesign.ir.packing import entropy_bits


def entropy_bytes(graph: Graph) -> int:
    """Bytes of all constants: codes at their zero-order entropy; a float is zero or whole."""
    bits = 0.0
    for name, const in graph.constants.items():
        kind = graph.types[name]
        bits += _bits(const, tuple(e for e in kind.encodings if e.role != "layout"))
    return -(-int(bits) // 8)


@lru_cache(maxsize=4096)
def _bits(const: Const, encodings: Encodings) -> float:
    parts = encode(encodings, const.array)
    return sum(_array_bits(part) for part in parts.values())


def _array_bits(array: np.ndarray) -> float:
    if array.dtype.kind in "iub" and array.dtype.itemsize <= 2:
        return entropy_bits(array)
    stored = array != 0
    count = int(stored.sum())
    return entropy_bits(stored) + count * array.dtype.itemsize * 8
