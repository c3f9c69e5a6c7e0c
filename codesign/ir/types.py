"""The type of a value: logical shape, element type and encodings."""

from dataclasses import dataclass, replace
from math import prod

from codesign.errors import VerificationError
from codesign.ir import encoding as enc
from codesign.ir.dtype import DType
from codesign.ir.encoding import Encoding, Encodings
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.tiled import Tiled


@dataclass(frozen=True)
class TensorType:
    """A logical `shape` of `dtype` elements, stored and approximated by `encodings`.

    An op's meaning is over logical values; only kernels and simulators look at storage.
    """

    shape: tuple[int, ...]
    dtype: DType = DType.F32
    encodings: Encodings = ()

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of logical elements."""
        return prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits that the stored tensor takes."""
        return enc.stored_bits(self.encodings, self.shape, self.dtype.bits)

    @property
    def dense(self) -> "TensorType":
        """This type without encodings."""
        return TensorType(self.shape, self.dtype)

    @property
    def element(self) -> Encoding | None:
        """The element encoding, if any."""
        return self._role("element")

    @property
    def integer(self) -> Int | None:
        """The element encoding if it is an affine integer."""
        return element if isinstance(element := self.element, Int) else None

    @property
    def grid(self) -> Grid | None:
        """The element encoding if its values are whole multiples of a scale."""
        return element if isinstance(element := self.element, Grid) else None

    @property
    def structure(self) -> Encoding | None:
        """The structure encoding (sparsity), if any."""
        return self._role("structure")

    @property
    def layout(self) -> Tiled | None:
        """The layout encoding, if any."""
        return layout if isinstance(layout := self._role("layout"), Tiled) else None

    def _role(self, role: str) -> Encoding | None:
        return next((e for e in self.encodings if e.role == role), None)

    def with_encoding(self, encoding: Encoding) -> "TensorType":
        """This type with `encoding` in its role's place, replacing one of the same role."""
        others = [e for e in self.encodings if e.role != encoding.role]
        ordered = sorted([*others, encoding], key=lambda e: enc.ROLES.index(e.role))
        return replace(self, encodings=tuple(ordered))

    def without(self, *roles: str) -> "TensorType":
        """This type without the encodings of `roles`."""
        return replace(self, encodings=tuple(e for e in self.encodings if e.role not in roles))

    def check(self) -> None:
        """Raise VerificationError if the type is not well formed."""
        if any(extent < 0 for extent in self.shape):
            raise VerificationError(f"shape {self.shape} has a negative extent")
        if self.without("layout").encodings and not self.dtype.is_float:
            raise VerificationError(
                f"only float tensors are encoded, not {self.dtype}, which only takes a layout"
            )
        enc.check(self.encodings, self.shape)

    def __str__(self) -> str:
        from codesign.ir.text import print_type

        return print_type(self)
