"""Element-wise functions of one tensor that have no attributes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.ops.elementwise import Unary
from codesign.ir.ops.operands import check_float
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Function(Unary):
    """The torch function of the same name as `kind`, over any numbers."""

    def apply(self, x: "Tensor") -> "Tensor":
        import torch

        result: Tensor = getattr(torch, self.kind)(x)
        return result


@dataclass(frozen=True)
class FloatFunction(Function):
    """The torch function of the same name as `kind`, over floating-point numbers."""

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        check_float(self, self.input(inputs, 0))
        return super().infer(*inputs)


@dataclass(frozen=True)
class Neg(Function):
    """-x."""

    kind: ClassVar[str] = "neg"


@dataclass(frozen=True)
class Abs(Function):
    """|x|."""

    kind: ClassVar[str] = "abs"


@dataclass(frozen=True)
class Exp(FloatFunction):
    """e to the power of x."""

    kind: ClassVar[str] = "exp"


@dataclass(frozen=True)
class Log(FloatFunction):
    """The natural logarithm."""

    kind: ClassVar[str] = "log"


@dataclass(frozen=True)
class Sqrt(FloatFunction):
    """The square root."""

    kind: ClassVar[str] = "sqrt"


@dataclass(frozen=True)
class Rsqrt(FloatFunction):
    """1 / sqrt(x)."""

    kind: ClassVar[str] = "rsqrt"


@dataclass(frozen=True)
class Reciprocal(FloatFunction):
    """1 / x."""

    kind: ClassVar[str] = "reciprocal"


@dataclass(frozen=True)
class Floor(FloatFunction):
    """The largest integer not above x."""

    kind: ClassVar[str] = "floor"


@dataclass(frozen=True)
class Ceil(FloatFunction):
    """The smallest integer not below x."""

    kind: ClassVar[str] = "ceil"


@dataclass(frozen=True)
class Round(FloatFunction):
    """The nearest integer, halves to even."""

    kind: ClassVar[str] = "round"


@dataclass(frozen=True)
class Trunc(FloatFunction):
    """The integer part."""

    kind: ClassVar[str] = "trunc"


@dataclass(frozen=True)
class Sign(Function):
    """-1, 0 or 1."""

    kind: ClassVar[str] = "sign"


@dataclass(frozen=True)
class Erf(FloatFunction):
    """The error function."""

    kind: ClassVar[str] = "erf"


@dataclass(frozen=True)
class Sin(FloatFunction):
    """Sine of radians."""

    kind: ClassVar[str] = "sin"


@dataclass(frozen=True)
class Cos(FloatFunction):
    """Cosine of radians."""

    kind: ClassVar[str] = "cos"


@dataclass(frozen=True)
class Tan(FloatFunction):
    """Tangent of radians."""

    kind: ClassVar[str] = "tan"


@dataclass(frozen=True)
class Asin(FloatFunction):
    """Arc sine."""

    kind: ClassVar[str] = "asin"


@dataclass(frozen=True)
class Acos(FloatFunction):
    """Arc cosine."""

    kind: ClassVar[str] = "acos"


@dataclass(frozen=True)
class Atan(FloatFunction):
    """Arc tangent."""

    kind: ClassVar[str] = "atan"


@dataclass(frozen=True)
class Sinh(FloatFunction):
    """Hyperbolic sine."""

    kind: ClassVar[str] = "sinh"


@dataclass(frozen=True)
class Cosh(FloatFunction):
    """Hyperbolic cosine."""

    kind: ClassVar[str] = "cosh"


@dataclass(frozen=True)
class Asinh(FloatFunction):
    """Inverse hyperbolic sine."""

    kind: ClassVar[str] = "asinh"


@dataclass(frozen=True)
class Acosh(FloatFunction):
    """Inverse hyperbolic cosine."""

    kind: ClassVar[str] = "acosh"


@dataclass(frozen=True)
class Atanh(FloatFunction):
    """Inverse hyperbolic tangent."""

    kind: ClassVar[str] = "atanh"
