"""How a tensor's values are stored and approximated; encodings nest.

A type's encodings are listed from the outside in: `nm<2:4>, int<8>` is a 2:4 pattern whose
elements are 8-bit integers. There is at most one of each role, in the order of `ROLES`:

* `layout`    permutes, pads and tiles the elements (dense storage, no approximation);
* `factors`   stores several smaller tensors whose contraction is the tensor;
* `structure` stores only some elements and says where they are;
* `element`   stores each element as a code of few bits.

`encode` gives the named arrays that are stored, `decode` gives back logical values, `project`
is the nearest representable tensor (`decode(encode(x))`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import VerificationError

Role = Literal["layout", "factors", "structure", "element"]
ROLES: tuple[Role, ...] = ("layout", "factors", "structure", "element")
Parts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Encoding(ABC):
    """One way to store or approximate a tensor. Subclasses are frozen dataclasses.

    `encode` takes logical values if nothing is nested inside, else the codes of the inner element
    encoding, whose code for logical zero is zero whenever a structure surrounds it.
    """

    kind: ClassVar[str]
    role: ClassVar[Role]

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise VerificationError if a tensor of `shape` cannot be stored so."""

    @abstractmethod
    def bits(self, shape: tuple[int, ...], element_bits: int) -> int:
        """Bits that a tensor of `shape` takes when one element takes `element_bits`."""

    @abstractmethod
    def encode(self, array: np.ndarray) -> Parts:
        """Return the stored arrays; the element array is called `values`."""

    @abstractmethod
    def decode(self, parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
        """Inverse of `encode` for a tensor of logical `shape`."""

    def __str__(self) -> str:
        from codesign.ir.text import print_encoding

        return print_encoding(self)


Encodings = tuple[Encoding, ...]


def check(encodings: Encodings, shape: tuple[int, ...]) -> None:
    """Raise VerificationError unless roles come in order, once each, and each accepts `shape`."""
    ranks = [ROLES.index(encoding.role) for encoding in encodings]
    if ranks != sorted(set(ranks)):
        kinds = ", ".join(encoding.kind for encoding in encodings)
        order = ", ".join(ROLES)
        raise VerificationError(f"encodings <{kinds}> must be one of each role, ordered {order}")
    for encoding in encodings:
        encoding.check(shape)


def encode(encodings: Encodings, array: np.ndarray) -> Parts:
    """Store logical values `array`: the arrays by name, the element codes under `values`."""
    parts: Parts = {"values": array}
    for encoding in reversed(encodings):
        inner = parts.pop("values")
        parts |= encoding.encode(inner)
    return parts


def decode(encodings: Encodings, parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    """Logical values of stored `parts`: inverse of `encode`."""
    left = dict(parts)
    for encoding in encodings:
        left["values"] = encoding.decode(left, shape)
    return left["values"]


def project(encodings: Encodings, array: np.ndarray) -> np.ndarray:
    """The tensor that remains of `array` after storing it in `encodings`, in its own dtype."""
    if not encodings:
        return array
    return decode(encodings, encode(encodings, array), array.shape).astype(array.dtype)


def stored_bits(encodings: Encodings, shape: tuple[int, ...], element_bits: int) -> int:
    """Bits of a tensor of logical `shape` whose unencoded elements take `element_bits`."""
    count = int(np.prod(shape, dtype=np.int64))
    width, overhead = element_bits, 0
    for encoding in reversed(encodings):
        if encoding.role == "element":
            width = encoding.bits((1,), width) - encoding.bits((0,), width)
            overhead = encoding.bits((0,), width)
        else:
            return encoding.bits(shape, width) + overhead
    return count * width + overhead
