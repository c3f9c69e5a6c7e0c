"""Computing equal things once."""

from dataclasses import dataclass
from typing import ClassVar

from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.edit import Edit
from codesign.rewrite.pass_ import Pass


@dataclass(frozen=True)
class CommonSubexpressions(Pass):
    """Merge constants of equal content and nodes that apply one op to the same values.

    Before:
        %a: tensor<2xf32> = relu(%x)
        %b: tensor<2xf32> = relu(%x)
        %c: tensor<2xf32> = add(%a, %b)
    After:
        %a: tensor<2xf32> = relu(%x)
        %c: tensor<2xf32> = add(%a, %a)
    """

    name: ClassVar[str] = "common-subexpressions"

    def run(self, program: Program, context: Context) -> Program:
        graph = program.graph
        edit = Edit(graph)
        seen: dict[object, tuple[str, ...]] = {}
        for value, const in graph.constants.items():
            first = seen.setdefault((const, graph.types[value]), (value,))
            edit.replace(value, first[0])
        for node in graph.nodes:
            inputs = tuple(None if v is None else edit.current(v) for v in node.inputs)
            first = seen.setdefault((node.op, inputs, graph.output_types(node)), node.outputs)
            for old, new in zip(node.outputs, first, strict=True):
                edit.replace(old, new)
            if first != node.outputs:
                context.note(node.name, f"is the same as %{first[0]}")
        return program.with_graph(edit.graph())
