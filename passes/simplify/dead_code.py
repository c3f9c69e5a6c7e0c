"""Dropping what no output needs."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass


@dataclass(frozen=True)
class DeadCode(Pass):
    """Drop the nodes and constants that no output depends on.

    Before:
        %a: tensor<2xf32> = relu(%x)
        %b: tensor<2xf32> = neg(%x)
        return %a
    After:
        %a: tensor<2xf32> = relu(%x)
        return %a
    """

    name: ClassVar[str] = "dead-code"

    def run(self, program: Program, context: Context) -> Program:
        return program.with_graph(Edit(program.graph).graph())
