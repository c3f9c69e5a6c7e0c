"""Choosing a kernel for every op."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.pass_ import Need, Pass
from codesign.rewrite.zeros import seeing


@dataclass(frozen=True)
class Place(Pass):
    """Give every op the cheapest kernel of the target that accepts it, element-wise ops fused.

    Before:
        %a: tensor<1x16x6x6xf32> = conv(%x, %w)
        %y: tensor<1x16x6x6xf32> = relu(%a)
    After:
        %a: tensor<1x16x6x6xf32> = conv(%x, %w)
        %y: tensor<1x16x6x6xf32> = relu(%a)
        place "cpu{...}" {
          conv-direct(%a, %y) {...}
        }
    """

    name: ClassVar[str] = "place"
    schedules: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"target"})

    def run(self, program: Program, context: Context) -> Program:
        target = seeing(context.need_target(self.name), program.graph, context)
        return target.choose_kernels(program)
