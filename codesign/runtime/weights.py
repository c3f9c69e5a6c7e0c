"""Packed kernel arguments in a safetensors file, each stored the smallest of a few ways.

An array is stored as it is, or with its integers in as few bits as they need, or (many zeros) as a
bitmap of what is not zero and only those elements, again in few bits.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from codesign.errors import ArtifactError, InvalidModelError, VerificationError
from codesign.ir.packing import WIDEST, pack, packed_size, unpack

SMALLEST = 1024  # bytes below which arrays are stored as they are
WORTH = 0.9  # a way must take at most this share of the bytes
UNREADABLE = (
    InvalidModelError,
    VerificationError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    struct.error,
)
DTYPES = {
    "BOOL": "bool",
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}


@dataclass(frozen=True)
class Stored:
    """How an array is stored: `bits` an element (0: as `dtype` has it), `sparse` with a bitmap."""

    shape: tuple[int, ...]
    dtype: str
    bits: int = 0
    sparse: bool = False


def dump_weights(weights: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, Any]]:
    """The content of the weights file, and how its arrays are stored where not as they are."""
    from safetensors.numpy import save

    parts: dict[str, np.ndarray] = {}
    ways: dict[str, Any] = {}
    for name, array in weights.items():
        way = choose(array)
        if way is None:
            parts[name] = np.ascontiguousarray(array)
            continue
        ways[name] = asdict(way)
        parts |= {f"{name}.{part}": content for part, content in _store(array, way).items()}
    content: bytes = save(parts)
    return content, ways


def load_weights(content: bytes, stored: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Inverse of `dump_weights`; ArtifactError if `content` cannot be read."""
    try:
        parts = read_safetensors(content)
        found = {name: _restore(name, Stored(**way), parts) for name, way in stored.items()}
    except UNREADABLE as error:
        raise ArtifactError(f"the weights cannot be read: {error}") from None
    taken = {f"{name}.{part}" for name in stored for part in ("mask", "values")}
    return found | {name: array for name, array in parts.items() if name not in taken}


def read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    """Read-only views into `content`, a safetensors file: a length, a JSON header, the arrays.

    Without the copy that the library makes: weights are most of what opening an artifact costs.
    ValueError, KeyError or TypeError if `content` is no such file.
    """
    (length,) = struct.unpack_from("<Q", content)
    header, start = json.loads(content[8 : 8 + length]), 8 + length
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), entry["data_offsets"]
        flat = np.frombuffer(content, dtype, prod(entry["shape"]), start + begin)
        if flat.nbytes != end - begin:
            raise ValueError(f"{name} is {end - begin} bytes, its shape needs {flat.nbytes}")
        found[name] = flat.reshape(entry["shape"])
    return found


def choose(array: np.ndarray) -> Stored | None:
    """The way that takes the fewest bytes; None if storing `array` as it is does well enough."""
    if array.nbytes < SMALLEST or array.dtype.kind not in "iuf":
        return None
    kept = int(_nonzero(array).sum())
    own = array.dtype.itemsize * 8
    bits = integer_bits(array) if array.dtype.kind in "iu" else own
    sizes = {
        (bits, False): packed_size(array.size, bits),
        (bits, True): packed_size(array.size, 1) + packed_size(kept, bits),
    }
    (bits, sparse), size = min(sizes.items(), key=lambda item: item[1])
    if size > WORTH * array.nbytes:
        return None
    return Stored(array.shape, array.dtype.str, 0 if bits >= own else bits, sparse)


def integer_bits(array: np.ndarray) -> int:
    """Bits that the integers of `array` need; those of their element type if they need many."""
    low, high = int(array.min()), int(array.max())
    if array.dtype.kind == "u":
        need = max(1, high.bit_length())
    else:
        need = max(high, -1 - low).bit_length() + 1
    return need if need <= WIDEST else array.dtype.itemsize * 8


def _nonzero(array: np.ndarray) -> np.ndarray:
    """Where any bit is set: -0.0 counts."""
    mask: np.ndarray = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}") != 0
    return mask


def _store(array: np.ndarray, way: Stored) -> dict[str, np.ndarray]:
    flat = array.reshape(-1)
    parts = {}
    if way.sparse:
        mask = _nonzero(flat)
        parts["mask"], flat = np.packbits(mask), flat[mask]
    parts["values"] = pack(flat, way.bits) if way.bits else np.ascontiguousarray(flat)
    return parts


def _restore(name: str, way: Stored, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    count, dtype = prod(way.shape), np.dtype(way.dtype)
    values, mask = parts[f"{name}.values"], None
    kept = count
    if way.sparse:
        mask = np.unpackbits(parts[f"{name}.mask"], count=count).astype(bool)
        kept = int(mask.sum())
    if way.bits:
        values = unpack(values, way.bits, (kept,), dtype)
    if mask is None:
        return values.reshape(way.shape)
    whole = np.zeros(count, dtype)
    whole[mask] = values
    return whole.reshape(way.shape)
