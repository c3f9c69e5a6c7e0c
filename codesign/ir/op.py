"""What an op is: attributes, shape inference, loop nest, and its one meaning, in torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.errors import VerificationError
from codesign.ir.loops import LoopNest
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

Types = Sequence[TensorType]


@dataclass(frozen=True)
class Op(ABC):
    """One kind of operation with its attributes. Subclasses are frozen dataclasses.

    `roles` names the inputs; a name ending in `?` may be absent (None), one ending in `*` repeats.
    Attributes are ints, floats, bools, strings and tuples of those, so that text can hold them.
    """

    kind: ClassVar[str]
    roles: ClassVar[tuple[str, ...]] = ("x",)
    elementwise: ClassVar[bool] = False  # result i depends on element i of each input alone

    @abstractmethod
    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        """Dense types of the results; VerificationError if the inputs do not fit."""

    @abstractmethod
    def evaluate(self, *inputs: "Tensor | None") -> "Tensor | tuple[Tensor, ...]":
        """The meaning: torch tensors of logical values to torch tensors, differentiable."""

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest | None:
        """The multiply-accumulate nest of this op, or None if it has none."""
        return None

    def input(self, inputs: Sequence[TensorType | None], role: int) -> TensorType:
        """Input number `role`, which must be there."""
        found = inputs[role] if role < len(inputs) else None
        if found is None:
            raise VerificationError(f"{self.kind} needs its input {self.roles[role].strip('?*')}")
        return found


def refuse(op: Op, demand: str, *types: TensorType | None) -> VerificationError:
    """The error for operands that do not fit: what `op` demands and what it was given."""
    given = ", ".join("none" if t is None else str(t) for t in types)
    return VerificationError(f"{op.kind} {demand}; given {given}")


def same_dtype(op: Op, *types: TensorType) -> None:
    """Raise unless all `types` have one element type."""
    if len({t.dtype for t in types}) > 1:
        raise refuse(op, "needs operands of one element type", *types)
