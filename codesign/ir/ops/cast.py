"""Change of element type."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.dtype import DType
from codesign.ir.ops.elementwise import Unary
from codesign.ir.ops.operands import carrier, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Cast(Unary):
    """x as elements of `dtype`: floats to integers truncate towards zero, non-zero is true."""

    kind: ClassVar[str] = "cast"

    dtype: str = "f32"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        pick(self, "element types", self.dtype, [str(d) for d in DType])
        return (TensorType(self.input(inputs, 0).shape, DType(self.dtype)),)

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        want = carrier(DType(self.dtype))
        if x.is_floating_point() and not want.is_floating_point and want is not torch.bool:
            # Through the widest integer, so that narrow ones wrap alike on every machine.
            return x.to(torch.int64).to(want)
        return x.to(want)
