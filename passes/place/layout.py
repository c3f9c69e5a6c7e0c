"""Choosing a layout for every value."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.pass_ import Need, Pass


@dataclass(frozen=True)
class Layout(Pass):
    """Choose plain or blocked layouts for all values, converting fewest bytes.

    A program that is not placed yet is placed first, as by `place`.

    Before:
        %y: tensor<1x16x6x6xf32> = conv(%x, %w)
    After:
        %x.blocked: tensor<1x16x8x8xf32, tiled<1, 16>> = relayout(%x)
        %y: tensor<1x16x6x6xf32, tiled<1, 16>> = conv(%x.blocked, %w)
        %y.plain: tensor<1x16x6x6xf32> = relayout(%y)
    """

    name: ClassVar[str] = "layout"
    schedules: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"target"})

    def run(self, program: Program, context: Context) -> Program:
        target = context.need_target(self.name)
        placed = program if program.placement else target.choose_kernels(program)
        return target.choose_layouts(placed)
