"""Einstein summation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.loops import Access, LoopNest, axis
from codesign.ir.op import Op, Types, refuse, same_dtype
from codesign.ir.ops.operands import given
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

# Letters that stand for the axes of an ellipsis, last axis first; none is allowed in equations.
_ELLIPSIS = "ⓩⓨⓧⓦⓥⓤⓣⓢ"


def labels(op: Op, equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """One letter for each axis of each operand and of the result; an ellipsis spelled out.

    Without `->` the result has the letters that occur once, in alphabetical order.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise refuse(op, f"{equation!r} needs {len(terms)} operands")
    spelled, dots = [], ""
    for term, rank in zip(terms, ranks, strict=True):
        extra = rank - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term) or extra > len(_ELLIPSIS):
            raise refuse(op, f"{term!r} in {equation!r} does not fit an operand of rank {rank}")
        own = _ELLIPSIS[:extra][::-1]
        dots = max(dots, own, key=len)
        spelled.append(term.replace("...", own))
    if arrow:
        return spelled, right.replace("...", dots)
    joined = "".join(spelled)
    return spelled, dots + "".join(
        sorted(c for c in set(joined) if joined.count(c) == 1 and c not in _ELLIPSIS)
    )


@dataclass(frozen=True)
class Einsum(Op):
    """The sum of products over the letters that the result lacks: `equation` as numpy's einsum."""

    kind: ClassVar[str] = "einsum"
    roles: ClassVar[tuple[str, ...]] = ("x*",)

    equation: str = ""

    def _extents(self, operands: Sequence[TensorType]) -> tuple[list[str], str, dict[str, int]]:
        terms, result = labels(self, self.equation, [t.rank for t in operands])
        extents: dict[str, int] = {}
        for term, operand in zip(terms, operands, strict=True):
            for letter, extent in zip(term, operand.shape, strict=True):
                if extents.setdefault(letter, extent) not in (extent, 1) and extent != 1:
                    raise refuse(self, f"{self.equation!r} has two extents for {letter}", *operands)
                extents[letter] = max(extents[letter], extent)
        if set(result) - set(extents) or len(set(result)) < len(result):
            raise refuse(self, f"{self.equation!r} has a bad result {result!r}", *operands)
        return terms, result, extents

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        operands = [self.input((operand,), 0) for operand in inputs]
        same_dtype(self, *operands)
        _, result, extents = self._extents(operands)
        return (TensorType(tuple(extents[letter] for letter in result), operands[0].dtype),)

    def evaluate(self, *inputs: "Tensor | None") -> "Tensor":
        import torch

        return torch.einsum(self.equation, *(given(inputs, i) for i in range(len(inputs))))

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest | None:
        """A nest for two operands; other counts have no single multiply-accumulate."""
        operands = [self.input((operand,), 0) for operand in inputs]
        if len(operands) != 2:
            return None
        terms, result, extents = self._extents(operands)
        sides = [(0, terms[0], operands[0]), (1, terms[1], operands[1]), (-1, result, outputs[0])]
        accesses = (
            Access(
                i,
                tuple(
                    axis(letter) if extent == extents[letter] else axis()  # broadcast
                    for letter, extent in zip(term, kind.shape, strict=True)
                ),
            )
            for i, term, kind in sides
        )
        return LoopNest(tuple(extents.items()), tuple(accesses))
