"""How a tensor's values are stored and approximated; encodings nest.

A type's encodings are listed from the outside in: `nm<2, 4>, int<8>` is a 2:4 pattern whose
elements are 8-bit integers. There is at most one of each role, in the order of `ROLES`:

* `layout`    permutes, pads and tiles the elements (dense storage, no approximation);
* `factors`   stores several smaller tensors whose contraction is the tensor; what is nested inside
              stores the entries of the factors, as one vector;
* `structure` stores only some elements and says where they are;
* `element`   stores each element as a code of few bits.

`encode` gives the named arrays that are stored, `decode` gives back logical values, `project`
is a nearby representable tensor (`decode(encode(x))`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from codesign.errors import VerificationError

Role = Literal["layout", "factors", "structure", "element"]
ROLES: tuple[Role, ...] = ("layout", "factors", "structure", "element")
Parts = dict[str, np.ndarray]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Encoding(ABC):
    """One way to store or approximate a tensor. Subclasses are frozen dataclasses.

    Every field has a default; the text form gives the first `positional` ones without their names.
    """

    kind: ClassVar[str]
    role: ClassVar[Role]
    positional: ClassVar[int] = 1

    @abstractmethod
    def check(self, shape: Shape) -> None:
        """Raise VerificationError if a tensor of `shape` cannot be stored so."""

    @abstractmethod
    def bits(self, shape: Shape, element_bits: int) -> int:
        """Bits that a tensor of `shape` takes when one element takes `element_bits`."""

    def widths(self, element_bits: int) -> dict[str, int]:
        """Bits of one number of each stored array, when an element takes `element_bits`."""
        return {"values": element_bits}

    @abstractmethod
    def encode(self, array: np.ndarray) -> Parts:
        """Return the stored arrays; the element array is called `values`."""

    @abstractmethod
    def decode(self, parts: Parts, shape: Shape) -> np.ndarray:
        """Inverse of `encode` for a tensor of logical `shape`."""

    @property
    def zero_is_zero(self) -> bool:
        """True if code 0 means value 0 and value 0 gets code 0, which structures need."""
        return True

    def __str__(self) -> str:
        from codesign.ir.text import print_encoding

        return print_encoding(self)


@dataclass(frozen=True)
class Structure(Encoding):
    """Base of the encodings that store some elements. They hold values, or codes of an element.

    `encode` stores every nonzero and, up to its fixed count, zeros; it raises VerificationError if
    there are more nonzeros than it has room for.
    """

    role: ClassVar[Role] = "structure"

    @abstractmethod
    def keep(self, array: np.ndarray) -> np.ndarray:
        """Mask of the logical values to store so that the least energy is lost."""


@dataclass(frozen=True)
class Factors(Encoding):
    """Base of the encodings that store smaller tensors; `values` is the vector of their entries."""

    role: ClassVar[Role] = "factors"

    @abstractmethod
    def entries(self, shape: Shape) -> int:
        """Number of entries of all factors of a tensor of `shape`."""

    def bits(self, shape: Shape, element_bits: int) -> int:
        """The entries of all factors."""
        return self.entries(shape) * element_bits


Encodings = tuple[Encoding, ...]


def check(encodings: Encodings, shape: Shape) -> None:
    """Raise VerificationError unless the encodings nest and each accepts what it holds."""
    kinds = ", ".join(encoding.kind for encoding in encodings)
    roles = [encoding.role for encoding in encodings]
    ranks = [ROLES.index(role) for role in roles]
    if ranks != sorted(set(ranks)):
        order = ", ".join(ROLES)
        raise VerificationError(f"encodings <{kinds}> must be one of each role, ordered {order}")
    if "layout" in roles and ("factors" in roles or "structure" in roles):
        raise VerificationError(f"encodings <{kinds}>: a layout is of dense elements only")
    if "structure" in roles and not encodings[-1].zero_is_zero:
        raise VerificationError(
            f"encodings <{kinds}>: {encodings[-1]} has no code 0 for value 0, which the elements "
            "that are not stored need; use zero point 0, or put 0 first in the codebook"
        )
    for encoding in encodings:
        encoding.check(shape)
        shape = (encoding.entries(shape),) if isinstance(encoding, Factors) else shape


def encode(encodings: Encodings, array: np.ndarray) -> Parts:
    """Store logical values `array`: the arrays by name, the element codes under `values`.

    VerificationError if `array` holds NaN, which no code stands for.
    """
    if encodings and np.isnan(array).any():
        raise VerificationError(f"a tensor of shape {array.shape} holds NaN and cannot be encoded")
    for encoding in encodings:
        if isinstance(encoding, Factors):
            array = encoding.encode(array)["values"]
        if isinstance(encoding, Structure):
            array = np.where(encoding.keep(array), array, np.zeros_like(array))
    parts: Parts = {"values": array}
    for encoding in reversed(encodings):
        if not isinstance(encoding, Factors):
            parts |= encoding.encode(parts["values"])
    return parts


def decode(encodings: Encodings, parts: Parts, shape: Shape) -> np.ndarray:
    """Logical values of stored `parts`: inverse of `encode`."""
    left, inner = dict(parts), _inner(encodings, shape)
    for encoding in encodings:
        if not isinstance(encoding, Factors):
            left["values"] = encoding.decode(left, inner)
    for encoding in encodings:
        if isinstance(encoding, Factors):
            left["values"] = encoding.decode(left, shape)
    return left["values"]


def project(encodings: Encodings, array: np.ndarray) -> np.ndarray:
    """The tensor that remains of `array` after storing it in `encodings`, in its own dtype."""
    if not encodings:
        return array
    return decode(encodings, encode(encodings, array), array.shape).astype(array.dtype)


def part_widths(encodings: Encodings, element_bits: int) -> dict[str, int]:
    """Bits of one number of each array that `encode` gives (see `codesign.ir.packing`)."""
    widths = {"values": element_bits}
    for encoding in reversed(encodings):
        widths |= encoding.widths(widths["values"])
    return widths


def stored_bits(encodings: Encodings, shape: Shape, element_bits: int) -> int:
    """Bits of a tensor of logical `shape` whose unencoded elements take `element_bits`.

    Everything that decoding needs is counted: indices, masks, scales, zero points, codebooks.
    """
    width, overhead, inner = element_bits, 0, _inner(encodings, shape)
    if encodings and encodings[-1].role == "element":
        overhead = encodings[-1].bits((0,), width)
        width = encodings[-1].bits((1,), width) - overhead
    for encoding in encodings:
        if encoding.role in ("layout", "structure"):
            return encoding.bits(inner, width) + overhead
    return prod(inner) * width + overhead


def _inner(encodings: Encodings, shape: Shape) -> Shape:
    """Shape of what lies inside the factors, if there are any."""
    for encoding in encodings:
        if isinstance(encoding, Factors):
            return (encoding.entries(shape),)
    return shape
