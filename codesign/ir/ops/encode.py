"""Ops that change how a value is stored: the logical meaning is the identity."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, refuse
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Restore(Op):
    """Base of the ops that keep the logical value and change only the encodings of its type."""

    elementwise: ClassVar[bool] = True

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        return (self.input(inputs, 0).dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        (x,) = inputs
        assert x is not None
        return x


@dataclass(frozen=True)
class Encode(Restore):
    """Store a value in the encodings of the result's type (quantize)."""

    kind: ClassVar[str] = "encode"


@dataclass(frozen=True)
class Decode(Restore):
    """Give back plain values (dequantize)."""

    kind: ClassVar[str] = "decode"


@dataclass(frozen=True)
class Relayout(Restore):
    """Store the same elements in another layout."""

    kind: ClassVar[str] = "relayout"


@dataclass(frozen=True)
class Codes(Op):
    """The stored codes of an encoded value as a plain integer tensor of type `dtype`."""

    kind: ClassVar[str] = "codes"

    dtype: str = "u8"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        from codesign.ir.dtype import DType

        x = self.input(inputs, 0)
        if x.element is None:
            raise refuse(self, "needs an encoded value", x)
        return (TensorType(x.shape, DType(self.dtype)),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        from codesign.errors import VerificationError

        raise VerificationError("codes has no meaning over logical values; see interpret.codes")
