"""Moving elements between channels and space, and cutting triangles."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.op import Op, refuse
from codesign.ir.ops.operands import given, pick
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DepthToSpace(Op):
    """x [N, C, H, W] -> [N, C / b^2, b H, b W] (pixel shuffle).

    `mode` says how channels split: DCR [b, b, C'] or CRD [C', b, b] (torch's).
    """

    kind: ClassVar[str] = "depth_to_space"

    block: int = 2
    mode: str = "DCR"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        pick(self, "modes", self.mode, ("DCR", "CRD"))
        if x.rank != 4 or self.block < 1 or x.shape[1] % self.block**2:
            raise refuse(self, f"needs x [N, C, H, W] with C divisible by {self.block}^2", x)
        n, c, h, w = x.shape
        return (TensorType((n, c // self.block**2, h * self.block, w * self.block), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, b = given(inputs, 0), self.block
        n, c, h, w = x.shape
        if self.mode == "DCR":
            moved = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            moved = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
        return moved.reshape(n, c // b**2, h * b, w * b)


@dataclass(frozen=True)
class SpaceToDepth(Op):
    """x [N, C, b H, b W] -> [N, b^2 C, H, W]; channels become [b, b, C]."""

    kind: ClassVar[str] = "space_to_depth"

    block: int = 2

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, b = self.input(inputs, 0), self.block
        if x.rank != 4 or b < 1 or x.shape[2] % b or x.shape[3] % b:
            raise refuse(self, f"needs x [N, C, H, W] with H and W divisible by {b}", x)
        n, c, h, w = x.shape
        return (TensorType((n, c * b * b, h // b, w // b), x.dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x, b = given(inputs, 0), self.block
        n, c, h, w = x.shape
        moved = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
        return moved.reshape(n, c * b * b, h // b, w // b)


@dataclass(frozen=True)
class Trilu(Op):
    """The upper (or lower) triangle of the last two axes, diagonal number `diagonal` included."""

    kind: ClassVar[str] = "trilu"

    upper: bool = True
    diagonal: int = 0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = self.input(inputs, 0)
        if x.rank < 2:
            raise refuse(self, "needs at least two axes", x)
        return (x.dense,)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        x = given(inputs, 0)
        return x.triu(self.diagonal) if self.upper else x.tril(self.diagonal)
