"""Choosing a layout for every value."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.errors import UsageError
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.pass_ import Need, Pass


@dataclass(frozen=True)
class Layout(Pass):
    """Choose plain or blocked layouts for all values of a placed program, converting fewest bytes.

    Before:
        %y: tensor<1x16x6x6xf32> = conv(%x, %w)
    After:
        %x.blocked: tensor<1x16x8x8xf32, tiled<1, 16>> = relayout(%x)
        %y: tensor<1x16x6x6xf32, tiled<1, 16>> = conv(%x.blocked, %w)
        %y.plain: tensor<1x16x6x6xf32> = relayout(%y)
    """

    name: ClassVar[str] = "layout"
    needs: ClassVar[frozenset[Need]] = frozenset({"target"})

    def run(self, program: Program, context: Context) -> Program:
        if program.graph.nodes and not program.placement:
            raise UsageError(
                "layout chooses for placed kernels, and none are placed: put `place` right before "
                "it (a pass that changes the graph after `place` undoes it)"
            )
        return context.need_target(self.name).choose_layouts(program)
