"""Codes of few bits as dense bytes, and how short a perfect entropy coder would make them."""

from math import prod

import numpy as np
import numpy.typing as npt

from codesign.errors import InvalidModelError, VerificationError

WIDEST = 32
_CHUNK = 1 << 20  # codes at a time; a multiple of 8, so that chunks end at whole bytes


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 vector of the integers `codes`, `bits` (1 to 32) bits each, least significant first.

    Code i occupies bits i * bits to (i + 1) * bits - 1 of the stream, signed ones as two's
    complement. VerificationError if a code does not fit.
    """
    _check_bits(bits)
    low, high = _range(codes.dtype, bits)
    flat = codes.reshape(-1)
    if flat.size and not (low <= flat.min() and flat.max() <= high):
        raise VerificationError(
            f"codes from {flat.min()} to {flat.max()} do not fit {bits} bits ({low} to {high})"
        )
    chunks = [_pack(flat[i : i + _CHUNK], bits) for i in range(0, flat.size, _CHUNK)]
    return np.concatenate([np.zeros(0, np.uint8), *chunks])


def unpack(data: np.ndarray, bits: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """The codes of `shape` that `pack` made `data` (uint8 vector) of, as integers of `dtype`.

    A signed `dtype` reads two's complement. InvalidModelError if `data` has another length.
    """
    _check_bits(bits)
    kind, count = np.dtype(dtype), prod(shape)
    _range(kind, bits)
    if data.size != packed_size(count, bits):
        raise InvalidModelError(
            f"{count} codes of {bits} bits take {packed_size(count, bits)} bytes, not {data.size}"
        )
    step = _CHUNK * bits // 8
    chunks = [
        _unpack(data[i * step : (i + 1) * step], bits, min(_CHUNK, count - i * _CHUNK), kind)
        for i in range(-(-count // _CHUNK))
    ]
    return np.concatenate([np.zeros(0, kind), *chunks]).reshape(shape)


def entropy_bits(codes: np.ndarray) -> float:
    """Bits of `codes` under an ideal zero-order entropy coder: the sum of -log2(frequency).

    A Huffman code takes less than one bit an element more. Source: Shannon, A mathematical theory
    of communication, 1948, section 6.
    """
    if codes.size == 0:
        return 0.0
    _, counts = np.unique(codes, return_counts=True)
    return float(-(counts * np.log2(counts / codes.size)).sum()) + 0.0


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= WIDEST:
        raise VerificationError(f"codes have 1 to {WIDEST} bits, not {bits}")


def _range(dtype: np.dtype, bits: int) -> tuple[int, int]:
    """Smallest and largest code."""
    if dtype.kind not in "iu" or dtype.itemsize * 8 < bits:
        raise VerificationError(f"codes of {bits} bits are no {dtype}")
    return (-1 << (bits - 1), (1 << (bits - 1)) - 1) if dtype.kind == "i" else (0, (1 << bits) - 1)


def _pack(codes: np.ndarray, bits: int) -> np.ndarray:
    octets = codes.astype(f"<{codes.dtype.kind}{_octets(bits)}").view(np.uint8)
    each = np.unpackbits(octets.reshape(codes.size, -1), axis=1, count=bits, bitorder="little")
    return np.packbits(each.reshape(-1), bitorder="little")


def _unpack(data: np.ndarray, bits: int, count: int, dtype: np.dtype) -> np.ndarray:
    """Eight codes are `bits` bytes: each is cut out of the few bytes that it touches."""
    word = np.dtype(np.uint32 if bits <= 16 else np.uint64)
    groups = np.zeros((-(-count // 8), bits), np.uint8)
    groups.reshape(-1)[: data.size] = data
    octets = np.ascontiguousarray(groups.T).astype(word)
    codes = np.empty((groups.shape[0], 8), dtype)
    sign = word.type(1 << (bits - 1) if dtype.kind == "i" else 0)
    for i in range(8):
        first, last = i * bits // 8, (i * bits + bits - 1) // 8
        window = octets[first].copy()
        for k in range(first + 1, last + 1):
            window |= octets[k] << word.type(8 * (k - first))
        window = window >> word.type(i * bits % 8) & word.type((1 << bits) - 1)
        codes[:, i] = ((window ^ sign) - sign).view(f"{dtype.kind}{word.itemsize}")
    return codes.reshape(-1)[:count]


def _octets(bits: int) -> int:
    """Bytes of the smallest machine integer that holds `bits` bits."""
    return 1 if bits <= 8 else 2 if bits <= 16 else 4
